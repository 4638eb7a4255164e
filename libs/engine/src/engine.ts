/**
 * onnxruntime behind a thread: models are loaded, warmed, run and measured without blocking the
 * thread that owns the socket. The engine decides what fits the device's memory and turns requests
 * into batches and back; the thread does what takes long.
 */

import {
  type Device,
  type DeviceClass,
  type Fault,
  fault,
  type ModelSpec,
  modelRef,
  type Tier,
} from "@millrace/protocol";
import { assert, formatBytes, present } from "@millrace/std";
import type { PassedOver } from "./device.ts";
import { type Layout, layoutOf } from "./layout.ts";
import type { ThreadLink } from "./link.ts";
import { type DriverMemory, estimateBytes, type MemoryReading } from "./memory.ts";
import { type EngineItem, mergeItems } from "./merge.ts";
import { monotonicUs, type RunTurn, type ThreadAnswer } from "./messages.ts";
import { Slabs } from "./slabs.ts";

export interface Loaded {
  /** Device memory that the model takes, measured; at least the size of its file. */
  readonly bytes: number;
  /** Per warmed batch size: rows, and the microseconds of its second run. */
  readonly warmUs: readonly (readonly [rows: number, us: number])[];
}

/** `bytes` where there was no room: what the model needs, estimated or measured. */
export type NotLoaded = Fault & { readonly bytes?: number };

export type EngineResult =
  /** `outputs` stand in the order of the items; `computeUs` is the time inside onnxruntime. */
  | {
      readonly ok: true;
      readonly outputs: readonly { readonly body: Uint8Array }[];
      readonly computeUs: number;
    }
  /** `fatal`: the device is poisoned, and the process must end. */
  | {
      readonly ok: false;
      readonly fault: Fault;
      readonly fatal: boolean;
      readonly computeUs: number;
    };

/**
 * Dispose of it before the process exits: it finishes what was asked and releases what is loaded,
 * while an exit during a run aborts the process (exit code 134), whichever way it is called.
 */
export interface Engine extends AsyncDisposable {
  /** What was tried before this device, and why it is not that. */
  readonly passedOver: readonly PassedOver[];
  /** Rises when the thread finishes anything; a busy engine that does not progress hangs. */
  readonly progress: number;
  /** Why nothing runs here any more, a poisoned device or a dead thread: the process must end. */
  readonly poisoned: string | undefined;
  /** Why a fresh process would be better: the device keeps memory of models that have left. */
  readonly worn: string | undefined;
  /** The device and its memory, at most a second old. */
  readDevice(): Promise<Device>;
  /**
   * Takes the file: its buffer is moved to the thread where `file` spans all of it. Fails with
   * OUT_OF_MEMORY before anything is created where the estimate does not fit, with MODEL_CORRUPT or
   * MODEL_UNSUPPORTED where onnxruntime refuses the file, and with LOAD_FAILED otherwise.
   */
  load(spec: ModelSpec, file: Uint8Array): Promise<Loaded | NotLoaded>;
  /** Resolves once the memory is free again; a model that is not loaded is none to unload. */
  unload(ref: string): Promise<void>;
  /**
   * One batch. Of those that wait for the device the lowest tier goes first, then the one that was
   * asked for first; after one that is partial, or fails, the others are given back with
   * STALE_ASSIGNMENT, as is one whose turn comes too late. Fails with the code of the item that
   * does not fit the signature, NOT_LOADED, OUT_OF_MEMORY, OUTPUT_TOO_LARGE, or EXECUTION_FAILED;
   * which item is to blame is not said. The model can run the next batch after any failure that is
   * not fatal.
   */
  run(spec: ModelSpec, items: readonly EngineItem[], turn?: Turn): Promise<EngineResult>;
}

/** When a run may begin, where others are asked for as well. */
export interface Turn {
  readonly tier: Tier;
  /** From now on; it does not begin later. */
  readonly startWithinUs: number;
  /** More may follow that has to go before what waits. */
  readonly partial: boolean;
}

const ANY_TURN: Turn = { tier: 1, startWithinUs: Number.POSITIVE_INFINITY, partial: false };

/** A model's place in memory: what it is estimated to take while it loads, measured afterwards. */
interface Held {
  readonly state: "loading" | "ready" | "unloading";
  readonly bytes: number;
  readonly layout: Layout;
  readonly loaded?: Loaded;
}

const READING_AGE_MS = 1_000;
/** Of the device's memory, kept by models that have left: more is not waited for. */
const STRANDED_SHARE_MAX = 0.25;
/** Models whose size is remembered. */
const MEASURED_MAX = 10_000;

export interface EngineParts {
  readonly deviceClass: DeviceClass;
  /** What the device is called where no driver says it. */
  readonly deviceName: string;
  readonly link: ThreadLink;
  /** Undefined for devices with a declared budget. */
  readonly driver: DriverMemory | undefined;
  readonly budgetBytes: number;
  readonly passedOver: readonly PassedOver[];
}

export class ThreadEngine implements Engine {
  readonly passedOver: readonly PassedOver[];
  readonly #parts: EngineParts;
  readonly #bucketed: boolean;
  readonly #slabs = new Slabs();
  readonly #held = new Map<string, Held>();
  /** What loading really took, by digest: better than the estimate when the model comes back. */
  readonly #measured = new Map<string, number>();
  /**
   * onnxruntime 1.30 keeps the weights of a WebGPU session that was released until the last session
   * of the process is gone, with every mode of its buffer caches (measured on an NVIDIA H200).
   */
  #strandedBytes = 0;
  #totalBytes = Number.POSITIVE_INFINITY;
  #poisoned: string | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.passedOver = parts.passedOver;
    this.#bucketed = parts.deviceClass === "cuda" || parts.deviceClass === "webgpu";
  }

  get progress(): number {
    return this.#parts.link.answered;
  }

  get poisoned(): string | undefined {
    return this.#poisoned ?? this.#parts.link.lostReason;
  }

  get worn(): string | undefined {
    if (this.#strandedBytes <= STRANDED_SHARE_MAX * this.#totalBytes) return undefined;
    return `models that were unloaded keep ${formatBytes(this.#strandedBytes)} of the device`;
  }

  async readDevice(): Promise<Device> {
    const { deviceClass, driver } = this.#parts;
    const { name, totalBytes, freeBytes } = await this.#readMemory(READING_AGE_MS);
    return {
      class: deviceClass,
      name,
      memoryTotalBytes: totalBytes,
      memoryFreeBytes: freeBytes,
      memorySource: driver === undefined ? "budget" : "driver",
    };
  }

  async load(spec: ModelSpec, file: Uint8Array): Promise<Loaded | NotLoaded> {
    const ref = modelRef(spec.name, spec.version);
    const already = this.#held.get(ref);
    if (already?.state === "ready" && already.loaded !== undefined) return already.loaded;
    assert(already === undefined, `${ref} is loading or unloading`);
    const before = await this.#readMemory(0);
    const estimate = this.#measured.get(spec.digest) ?? estimateBytes(spec);
    // I3: refused before anything is created, so a device never runs out of memory by loading.
    if (estimate > before.freeBytes) return tooLarge(ref, estimate, before);
    const layout = layoutOf(spec);
    this.#held.set(ref, { state: "loading", bytes: estimate, layout });
    const moved = ownBuffer(file);
    const load = { type: "load", ref, spec, file: moved } as const;
    const answer = await this.#parts.link.ask(load, [moved.buffer]);
    if (answer.type !== "loaded") {
      this.#held.delete(ref);
      await this.#readMemory(0);
      return this.#failure(answer).fault;
    }
    // From here on the driver counts it, and no longer the estimate.
    this.#held.set(ref, { state: "ready", bytes: estimate, layout });
    const after = await this.#readMemory(0);
    const grown =
      this.#parts.driver === undefined ? answer.grownBytes : before.freeBytes - after.freeBytes;
    return this.#settle(ref, spec, layout, answer.warmUs, Math.max(spec.bytes, grown));
  }

  async unload(ref: string): Promise<void> {
    const held = this.#held.get(ref);
    if (held === undefined) return;
    assert(held.state === "ready", `${ref} is ${held.state} already`);
    this.#held.set(ref, { ...held, state: "unloading" });
    await this.#parts.link.ask({ type: "unload", ref });
    this.#held.delete(ref);
    const strands = this.#parts.deviceClass === "webgpu" && this.#held.size > 0;
    this.#strandedBytes = strands ? this.#strandedBytes + held.bytes : 0;
    await this.#readMemory(0);
  }

  async run(
    spec: ModelSpec,
    items: readonly EngineItem[],
    { tier, startWithinUs, partial }: Turn = ANY_TURN,
  ): Promise<EngineResult> {
    const ref = modelRef(spec.name, spec.version);
    const turn = { tier, startByUs: monotonicUs() + startWithinUs, partial };
    if (spec.maxBatch > 0) return this.#runBatch(ref, items, turn);
    const outputs: { readonly body: Uint8Array }[] = [];
    let computeUs = 0;
    for (const item of items) {
      const result = await this.#runBatch(ref, [item], turn);
      computeUs += result.computeUs;
      if (!result.ok) return { ...result, computeUs };
      outputs.push(...result.outputs);
    }
    return { ok: true, outputs, computeUs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.link.close();
  }

  async #runBatch(ref: string, items: readonly EngineItem[], turn: RunTurn): Promise<EngineResult> {
    assert(items.length > 0, "a batch has no items");
    const held = this.#held.get(ref);
    if (held?.state !== "ready") {
      const missing = fault("NOT_LOADED", `${ref} is not loaded`);
      return { ok: false, fault: missing, fatal: false, computeUs: 0 };
    }
    const merged = mergeItems(held.layout, items, this.#bucketed, (bytes) =>
      this.#slabs.take(bytes),
    );
    if (!merged.ok) return { ok: false, fault: merged.error, fatal: false, computeUs: 0 };
    const batch = merged.value;
    const answer = await this.#parts.link.ask({ type: "run", ref, ...turn, ...batch }, [
      batch.slab,
    ]);
    if (answer.type !== "ran") return { ok: false, ...this.#failure(answer) };
    const { bytes, ends, computeUs, slab } = answer;
    this.#slabs.give(slab);
    const outputs: { readonly body: Uint8Array }[] = [];
    let from = 0;
    for (const end of ends) {
      outputs.push({ body: bytes.subarray(from, end) });
      from = end;
    }
    return { ok: true, outputs, computeUs };
  }

  /** Books what a load took, or takes it back where that is more than the device has. */
  async #settle(
    ref: string,
    spec: ModelSpec,
    layout: Layout,
    warmUs: Loaded["warmUs"],
    bytes: number,
  ): Promise<Loaded | NotLoaded> {
    const loaded = { bytes, warmUs };
    this.#held.set(ref, { state: "ready", bytes, layout, loaded });
    this.#remember(spec.digest, bytes);
    let heldBytes = 0;
    for (const model of this.#held.values()) heldBytes += model.bytes;
    if (this.#parts.driver !== undefined || heldBytes <= this.#parts.budgetBytes) return loaded;
    await this.unload(ref); // I3: the estimate was too low, and the budget is not exceeded
    return tooLarge(ref, bytes, await this.#readMemory(0));
  }

  #remember(digest: string, bytes: number): void {
    const most = Math.max(bytes, this.#measured.get(digest) ?? 0);
    this.#measured.delete(digest);
    this.#measured.set(digest, most);
    if (this.#measured.size <= MEASURED_MAX) return;
    const [oldest] = this.#measured.keys();
    this.#measured.delete(present(oldest, "the oldest measurement")); // I6
  }

  #failure(answer: ThreadAnswer) {
    assert(answer.type === "failed", `the engine's thread answered ${answer.type}`);
    const { fault: wrong, fatal, computeUs } = answer;
    if (fatal) this.#poisoned ??= wrong.message;
    return { fault: wrong, fatal, computeUs };
  }

  /** Asks the driver, or reckons with the budget; loads under way count with their estimate. */
  async #readMemory(maxAgeMs: number): Promise<MemoryReading> {
    const { driver, budgetBytes, deviceName } = this.#parts;
    const reading = await driver?.read(maxAgeMs);
    let loadingBytes = 0;
    let heldBytes = 0;
    for (const { state, bytes } of this.#held.values()) {
      heldBytes += bytes;
      if (state === "loading") loadingBytes += bytes;
    }
    this.#totalBytes = reading?.totalBytes ?? budgetBytes;
    if (reading !== undefined) {
      return { ...reading, freeBytes: Math.max(0, reading.freeBytes - loadingBytes) };
    }
    // The budget may promise more than the machine has left to give.
    const takenBytes = heldBytes + this.#strandedBytes;
    const freeBytes = Math.min(budgetBytes - takenBytes, process.availableMemory());
    return {
      name: deviceName,
      totalBytes: budgetBytes,
      freeBytes: Math.max(0, Math.floor(freeBytes)),
    };
  }
}

/** The file in a buffer that holds nothing else; a copy where `file` is part of a larger one. */
function ownBuffer(file: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = file;
  if (!(buffer instanceof ArrayBuffer)) return new Uint8Array(file);
  assert(!buffer.detached, "a model file was handed to an engine twice");
  const whole = file.byteLength === buffer.byteLength;
  return whole ? new Uint8Array(buffer) : new Uint8Array(file);
}

function tooLarge(ref: string, bytes: number, memory: MemoryReading): NotLoaded {
  const { freeBytes, totalBytes } = memory;
  const [needs, free, total] = [bytes, freeBytes, totalBytes].map(formatBytes);
  const message = `${ref} needs ${needs}, ${free} of ${total} are free`;
  return { ...fault("OUT_OF_MEMORY", message), bytes };
}
