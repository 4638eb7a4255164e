/**
 * What is known of a device's memory: NVIDIA's driver is asked, other devices have a declared
 * budget less what their models measurably take.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ELEMENT_BYTES, type ModelSpec } from "@millrace/protocol";
import { elementCount, layoutOf, sampleDims, type TensorLayout } from "./layout.ts";

export interface MemoryReading {
  readonly name: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

interface GpuReading extends MemoryReading {
  readonly index: number;
  readonly uuid: string;
}

const QUERY = ["index", "uuid", "memory.total", "memory.free", "name"];
const MIB = 1024 * 1024;

/**
 * Reads the answer of `nvidia-smi --query-gpu=index,uuid,memory.total,memory.free,name
 * --format=csv,noheader,nounits`: one GPU a line, sizes in MiB. Lines that do not read so, such as
 * `[N/A]` from a device that shares the host's memory, are left out.
 */
export function parseGpus(text: string): readonly GpuReading[] {
  const gpus: GpuReading[] = [];
  for (const line of text.split("\n")) {
    const [index, uuid, total, free, ...name] = line.split(",").map((field) => field.trim());
    const sizes = [index, total, free];
    if (name.length === 0 || !sizes.every((field) => /^\d+$/.test(field ?? ""))) continue;
    gpus.push({
      index: Number(index),
      uuid: uuid ?? "",
      totalBytes: Number(total) * MIB,
      freeBytes: Number(free) * MIB,
      name: name.join(", "),
    });
  }
  return gpus;
}

/**
 * The GPU that onnxruntime knows under `deviceIndex`: `CUDA_VISIBLE_DEVICES` renumbers the GPUs for
 * CUDA (by index or by the beginning of the uuid), but not for nvidia-smi.
 */
export function visibleGpu(
  gpus: readonly GpuReading[],
  deviceIndex: number,
  visibleDevices: string | undefined,
): MemoryReading | undefined {
  if (visibleDevices === undefined) return gpus.find(({ index }) => index === deviceIndex);
  const chosen = visibleDevices.split(",")[deviceIndex]?.trim() ?? "";
  if (chosen === "") return undefined;
  return gpus.find(({ index, uuid }) => String(index) === chosen || uuid.startsWith(chosen));
}

const QUERY_TIMEOUT_MS = 3_000;
const run = promisify(execFile);

/** Rejects where there is no nvidia-smi, or where the driver does not answer it. */
export async function queryGpus(): Promise<string> {
  const args = [`--query-gpu=${QUERY.join(",")}`, "--format=csv,noheader,nounits"];
  return (await run("nvidia-smi", args, { timeout: QUERY_TIMEOUT_MS })).stdout;
}

/** Memory of one NVIDIA GPU; a question that fails keeps the last answer. */
export class DriverMemory {
  readonly #query: () => Promise<string>;
  readonly #select: (gpus: readonly GpuReading[]) => MemoryReading | undefined;
  #last: MemoryReading | undefined;
  /** When the driver was asked for it. */
  #askedAtMs = -Infinity;
  #pending: Promise<void> | undefined;

  constructor(
    deviceIndex: number,
    query: () => Promise<string> = queryGpus,
    visibleDevices: string | undefined = process.env["CUDA_VISIBLE_DEVICES"],
  ) {
    this.#query = query;
    this.#select = (gpus) => visibleGpu(gpus, deviceIndex, visibleDevices);
  }

  /**
   * What the driver says, asked for no longer than `maxAgeMs` before this call, so that an answer
   * after a load counts that load. Undefined until the driver has answered once.
   */
  async read(maxAgeMs: number): Promise<MemoryReading | undefined> {
    const sinceMs = performance.now() - maxAgeMs;
    while (this.#askedAtMs < sinceMs) {
      this.#pending ??= this.#ask();
      await this.#pending;
    }
    return this.#last;
  }

  async #ask(): Promise<void> {
    const nowMs = performance.now();
    try {
      this.#last = this.#select(parseGpus(await this.#query())) ?? this.#last;
    } catch {
      // No driver, or one that is too busy to answer: the last figures are the best there are.
    } finally {
      this.#askedAtMs = nowMs;
      this.#pending = undefined;
    }
  }
}

/** Half of the memory that this process may use: its container's, where it is in one. */
export function defaultBudgetBytes(machineBytes: number): number {
  const limit = process.constrainedMemory();
  return Math.floor((limit > 0 && limit < machineBytes ? limit : machineBytes) / 2);
}

/**
 * What loading will take, before it was ever measured: the file, a fifth for what the runtime packs
 * anew, and the largest batch's inputs and outputs, four times for what lies between them.
 */
export function estimateBytes(spec: ModelSpec): number {
  const layout = layoutOf(spec);
  const rows = Math.max(1, spec.maxBatch);
  const bytesOf = (tensor: TensorLayout): number =>
    elementCount(sampleDims(tensor, layout, rows)) * (ELEMENT_BYTES[tensor.datatype] || 16);
  const edges = [...layout.inputs, ...layout.outputs].map(bytesOf);
  return Math.ceil(spec.bytes * 1.2 + 4 * edges.reduce((sum, bytes) => sum + bytes, 0));
}
