/**
 * The only file that speaks to onnxruntime: opening sessions, feeding them from a slab, and reading
 * what they give. It is loaded in the engine's thread and in the inspecting process, never on the
 * thread that owns a socket, because `run` blocks its thread.
 */

import { setTimeout as sleep } from "node:timers/promises";
import * as ort from "onnxruntime-node";
import type { Datatype, DeviceClass } from "@millrace/protocol";
import type { Layout, TensorLayout } from "./layout.ts";
import { elementCount, sampleDims } from "./layout.ts";
import type { BatchInput } from "./merge.ts";
import type { OutputTensor } from "./split.ts";

// onnxruntime-node 1.30.0 fails on float16 inputs where the global Float16Array exists, and takes
// Uint16Array where it does not. It looks when the first tensor is made.
Reflect.deleteProperty(globalThis, "Float16Array");
// Its own log repeats every error that it throws, on standard error.
ort.env.logLevel = "fatal";

export interface SessionDevice {
  readonly device: DeviceClass;
  readonly deviceIndex: number;
  readonly threads: number;
  /** Idle threads of a session spin for work: faster alone, a waste where cores are shared. */
  readonly spin: boolean;
  /** An emulated device takes at least this long for each row, microseconds; 0 for no pace. */
  readonly rowUs: number;
}

export type Session = ort.InferenceSession;

type TypedArrayConstructor = new (
  buffer: ArrayBufferLike,
  at: number,
  length: number,
) => ort.Tensor.DataType;

interface RuntimeType {
  readonly type: ort.Tensor.Type;
  readonly array: TypedArrayConstructor;
}

const runtimeType = (type: ort.Tensor.Type, array: unknown): RuntimeType => ({
  type,
  array: array as TypedArrayConstructor,
});

/** BYTES are strings and have no array; BF16 is widened to float32 (see `bfloat.ts`). */
const RUNTIME_TYPES: Readonly<Record<Exclude<Datatype, "BYTES">, RuntimeType>> = {
  BOOL: runtimeType("bool", Uint8Array),
  UINT8: runtimeType("uint8", Uint8Array),
  UINT16: runtimeType("uint16", Uint16Array),
  UINT32: runtimeType("uint32", Uint32Array),
  UINT64: runtimeType("uint64", BigUint64Array),
  INT8: runtimeType("int8", Int8Array),
  INT16: runtimeType("int16", Int16Array),
  INT32: runtimeType("int32", Int32Array),
  INT64: runtimeType("int64", BigInt64Array),
  FP16: runtimeType("float16", Uint16Array),
  FP32: runtimeType("float32", Float32Array),
  FP64: runtimeType("float64", Float64Array),
  BF16: runtimeType("float32", Uint16Array),
};

/** The protocol's name of an onnxruntime type; undefined for those that no request can carry. */
export function datatypeOf(type: string): Datatype | undefined {
  if (type === "string") return "BYTES";
  for (const [datatype, entry] of Object.entries(RUNTIME_TYPES)) {
    if (entry.type === type && datatype !== "BF16") return datatype as Datatype;
  }
  return undefined;
}

/**
 * The file's buffer may be dropped afterwards: onnxruntime copies what it keeps.
 * Rejects with onnxruntime's message when the file or the device is not to its liking.
 */
export function openSession(file: Uint8Array, on: SessionDevice): Promise<Session> {
  return ort.InferenceSession.create(file, {
    executionProviders: [providerOf(on)],
    intraOpNumThreads: on.threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: { intra_op: { allow_spinning: on.spin ? "1" : "0" } } },
  });
}

function providerOf({
  device,
  deviceIndex,
}: SessionDevice): ort.InferenceSession.ExecutionProviderConfig {
  switch (device) {
    case "cuda":
      return { name: "cuda", deviceId: deviceIndex };
    case "webgpu":
      // Batches come in few sizes: buffers of just their sizes were a tenth to a fifth faster on an
      // NVIDIA H200 than the default's.
      return { name: "webgpu", storageBufferCacheMode: "simple" };
    case "cpu":
    case "emulated":
      return "cpu";
  }
}

/** What a run takes on an emulated device at least; 0 on others. */
export const paceUs = ({ device, rowUs }: SessionDevice, rows: number): number =>
  device === "emulated" ? rows * rowUs : 0;

/** Keeps an emulated device to its pace: resolves when it may be done with a run. */
export async function keepPace(device: SessionDevice, rows: number, began: number): Promise<void> {
  const leastUs = paceUs(device, rows);
  if (leastUs > 0) await sleep(Math.max(0, leastUs / 1000 - (performance.now() - began)));
}

/** Tensors over the slab itself; nothing is copied. */
export function feedsOf(
  layout: Layout,
  slab: ArrayBufferLike,
  inputs: readonly BatchInput[],
): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  layout.inputs.forEach((input, at) => {
    const { dims, at: begin, strings } = inputs[at] as BatchInput;
    feeds[input.name] = tensorOf(input.datatype, dims, slab, begin, strings);
  });
  return feeds;
}

function tensorOf(
  datatype: Datatype,
  dims: readonly number[],
  slab: ArrayBufferLike,
  begin: number,
  strings: readonly string[] | undefined,
): ort.Tensor {
  if (datatype === "BYTES") return new ort.Tensor("string", [...(strings ?? [])], dims);
  const { type, array } = RUNTIME_TYPES[datatype];
  const data = new array(slab, begin, elementCount(dims));
  if (datatype === "BF16") return new ort.Tensor("float32", widen(data as Uint16Array), dims);
  return new ort.Tensor(type, data, dims);
}

/** Inputs of zeros and empty strings, of the shapes of {@link sampleDims}. */
export function sampleFeeds(layout: Layout, rows: number): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const input of layout.inputs) {
    const dims = sampleDims(input, layout, rows);
    const count = elementCount(dims);
    const strings =
      input.datatype === "BYTES" ? Array.from({ length: count }, () => "") : undefined;
    // Eight bytes hold the widest element.
    const zeros = new ArrayBuffer(strings === undefined ? 8 * count : 0);
    feeds[input.name] = tensorOf(input.datatype, dims, zeros, 0, strings);
  }
  return feeds;
}

/** The outputs in the order of the layout, as bytes. */
export function outputsOf(
  layout: Layout,
  results: Readonly<Record<string, ort.Tensor>>,
): readonly OutputTensor[] {
  return layout.outputs.map((output: TensorLayout) => {
    const tensor = results[output.name] as ort.Tensor;
    const { data, dims } = tensor;
    if (Array.isArray(data)) return { dims, data };
    const array = output.datatype === "BF16" ? narrow(data as Float32Array) : (data as Uint8Array);
    return { dims, data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
  });
}

/** A BF16 is the upper half of the FP32 of the same value. */
function widen(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let at = 0; at < halves.length; at++) bits[at] = (halves[at] as number) << 16;
  return new Float32Array(bits.buffer);
}

/** Exact for values that were BF16 before. */
function narrow(wide: Float32Array): Uint16Array {
  const bits = new Uint32Array(wide.buffer, wide.byteOffset, wide.length);
  const halves = new Uint16Array(bits.length);
  for (let at = 0; at < bits.length; at++) halves[at] = (bits[at] as number) >>> 16;
  return halves;
}

/**
 * Frees a buffer that nothing needs any more. Left to the garbage collector, large buffers cost a
 * third more processor time, and an idle thread may keep a model file for long.
 */
export function dropData(data: unknown): void {
  if (!ArrayBuffer.isView(data) || data.byteLength < DROPPED_BYTES_MIN) return;
  if (data.buffer instanceof ArrayBuffer) data.buffer.transfer(0);
}

const DROPPED_BYTES_MIN = 4096;
