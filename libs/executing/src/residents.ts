/**
 * The models on the device: what is loaded, what is coming and going. One load or unload at a time,
 * in the order of the commands, so that what an unload frees is measured before the next load asks.
 * A ref that comes with another digest is another model: what is held of it goes first (I8).
 */

import type { Command, Device, ModelSpec, Resident } from "@millrace/protocol";
import { fault, modelRef } from "@millrace/protocol";
import { assert, formatBytes, present } from "@millrace/std";
import type { Loaded, NotLoaded, WorkerEffect } from "./events.ts";
import type { WorkerLimits } from "./options.ts";

interface Entry {
  readonly spec: ModelSpec;
  readonly resident: Resident;
  readonly failure: Failure | undefined;
}

interface Failure {
  /** When it is forgotten. */
  readonly untilUs: number;
  /** Not tried again before then, unless more memory is free than at the failure. */
  readonly retryAtUs: number;
  readonly freeBytes: number;
}

/** Batches in a row that ran nothing, by no input's fault. */
interface Streak {
  readonly count: number;
  readonly lastUs: number;
}

interface Operation {
  readonly kind: "load" | "unload";
  readonly ref: string;
}

export class Residents {
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: Operation[] = [];
  /** Other bytes of the same ref, to load when what is held of it has gone. */
  readonly #successors = new Map<string, ModelSpec>();
  /** Loads in a row that ran out of memory for reasons that no estimate knew. */
  readonly #shortages = new Map<string, number>();
  readonly #streaks = new Map<string, Streak>();
  /** The same of all models together: a device that runs nothing at all is found out sooner. */
  #failedInRow = 0;
  readonly #limits: WorkerLimits;
  #current: Operation | undefined;
  /** What was free when the current load began. */
  #freeBytes = 0;
  #revision = 0;

  constructor(limits: WorkerLimits) {
    this.#limits = limits;
  }

  /** Rises with every change of the list. */
  get revision(): number {
    return this.#revision;
  }

  list(): Resident[] {
    return Array.from(this.#entries.values(), ({ resident }) => resident);
  }

  /** The model if batches of it may be taken. */
  ready(ref: string): ModelSpec | undefined {
    const entry = this.#entries.get(ref);
    return entry?.resident.state === "ready" ? entry.spec : undefined;
  }

  /** Commands may come twice, and late: what is so already stays so. */
  command(command: Command, freeBytes: number, nowUs: number): void {
    if (command.kind === "load") return this.#load(command.spec, freeBytes, nowUs);
    this.#successors.delete(command.ref);
    this.#unload(command.ref);
  }

  /**
   * The next load or unload, if none is under way. An unload waits for the model's batches, and a
   * load that has no room fails here.
   */
  next(
    { memoryFreeBytes: freeBytes }: Device,
    isHeld: (ref: string) => boolean,
    nowUs: number,
  ): WorkerEffect | undefined {
    for (;;) {
      const operation = this.#waiting[0];
      if (this.#current !== undefined || operation === undefined) return undefined;
      const { kind, ref } = operation;
      if (kind === "unload" && isHeld(ref)) return undefined;
      this.#waiting.shift();
      const { spec } = this.#entry(ref);
      if (kind === "load" && this.#estimate(spec) > freeBytes) {
        this.#fail(spec, this.#noRoom(spec, freeBytes), nowUs); // I3
        continue;
      }
      this.#current = operation;
      this.#freeBytes = freeBytes;
      return kind === "load" ? { type: "load", spec } : { type: "unload", ref };
    }
  }

  loadEnded(ref: string, loaded: Loaded | NotLoaded, device: Device, nowUs: number): void {
    this.#end("load", ref);
    const { spec, resident } = this.#entry(ref);
    if ("code" in loaded) {
      this.#waiting.splice(0, Infinity, ...this.#waiting.filter((other) => other.ref !== ref));
      this.#loadFailed(spec, loaded, device, nowUs);
      return this.#succeed(ref, device, nowUs);
    }
    this.#shortages.delete(ref);
    const warmUs = loaded.warmUs.map(([rows, us]): [number, number] => [rows, us]);
    // An unload that came meanwhile waits in the queue.
    const state = resident.state === "unloading" ? "unloading" : "ready";
    this.#set(spec, { state, bytes: loaded.bytes, warmUs });
  }

  unloadEnded(ref: string, device: Device, nowUs: number): void {
    this.#end("unload", ref);
    this.#delete(ref);
    this.#succeed(ref, device, nowUs);
  }

  /**
   * A batch of the model has ended. Where several in a row run nothing, schedulers are told, for
   * whom other copies are better. What runs now and then is not told back and forth: the word
   * stands until a batch runs after a while without a failure.
   */
  batchEnded(ref: string, how: "runs" | "fails" | undefined, nowUs: number): void {
    const entry = this.#entries.get(ref);
    if (how === undefined || entry === undefined) return;
    this.#failedInRow = how === "fails" ? this.#failedInRow + 1 : 0;
    const streak = this.#streaks.get(ref);
    const isSaid = entry.resident.failing === true;
    if (how === "fails") {
      const count = (streak?.count ?? 0) + 1;
      this.#streaks.set(ref, { count, lastUs: nowUs });
      if (isSaid || Math.max(count, this.#failedInRow) < this.#limits.failingBatches) return;
      this.#set(entry.spec, { ...entry.resident, failing: true });
      return;
    }
    if (streak === undefined) return;
    if (isSaid && nowUs - streak.lastUs < this.#limits.failingUs) return;
    this.#streaks.delete(ref);
    if (!isSaid) return;
    const { failing: _, ...sound } = entry.resident;
    this.#set(entry.spec, sound);
  }

  forgetFailed(nowUs: number): void {
    for (const [ref, { failure }] of this.#entries) {
      if (failure !== undefined && nowUs >= failure.untilUs) this.#delete(ref);
    }
  }

  #load(spec: ModelSpec, freeBytes: number, nowUs: number): void {
    const ref = modelRef(spec.name, spec.version);
    const entry = this.#entries.get(ref);
    if (entry !== undefined && entry.spec.digest !== spec.digest) {
      return this.#replace(entry, spec, freeBytes, nowUs);
    }
    this.#successors.delete(ref);
    if (entry === undefined || entry.failure !== undefined) {
      if (entry === undefined && !this.#hasRoom()) return;
      if (entry?.failure !== undefined && mustWait(entry.failure, freeBytes, nowUs)) return;
      this.#set(spec, { state: "loading", bytes: this.#estimate(spec) });
      this.#waiting.push({ kind: "load", ref });
    } else if (entry.resident.state === "unloading" && this.#withdraw("unload", ref)) {
      const loading = this.#current?.ref === ref;
      this.#set(spec, { ...entry.resident, state: loading ? "loading" : "ready" });
    }
  }

  /** The same ref from other bytes: what is held of it answers no more, and goes first (I8). */
  #replace({ resident: { ref } }: Entry, spec: ModelSpec, freeBytes: number, nowUs: number): void {
    this.#successors.set(ref, spec);
    this.#shortages.delete(ref);
    this.#unload(ref);
    if (!this.#entries.has(ref)) this.#succeed(ref, { memoryFreeBytes: freeBytes }, nowUs);
  }

  /** Nothing of the ref is held any more: what was to replace it may come. */
  #succeed(ref: string, device: Pick<Device, "memoryFreeBytes">, nowUs: number): void {
    const spec = this.#successors.get(ref);
    if (spec === undefined) return;
    this.#successors.delete(ref);
    this.#delete(ref);
    this.#load(spec, device.memoryFreeBytes, nowUs);
  }

  #unload(ref: string): void {
    const entry = this.#entries.get(ref);
    if (entry === undefined || entry.resident.state === "unloading") return;
    if (entry.failure !== undefined || this.#withdraw("load", ref)) {
      this.#delete(ref);
      return;
    }
    this.#set(entry.spec, { ...entry.resident, state: "unloading" });
    this.#waiting.push({ kind: "unload", ref });
  }

  /** Takes back what has not begun. */
  #withdraw(kind: Operation["kind"], ref: string): boolean {
    const at = this.#waiting.findIndex((other) => other.kind === kind && other.ref === ref);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    return true;
  }

  /** I6: at the limit the oldest failure makes way, and without one the command is not taken. */
  #hasRoom(): boolean {
    if (this.#entries.size < this.#limits.residentsMax) return true;
    for (const [ref, { failure }] of this.#entries) {
      if (failure === undefined) continue;
      this.#delete(ref);
      return true;
    }
    return false;
  }

  /**
   * A load that ran out of memory although the estimate fitted needs more than was free, and nobody
   * knows how much: it is said to need that, so that others make way, and waits longer each time.
   */
  #loadFailed(spec: ModelSpec, met: NotLoaded, device: Device, nowUs: number): void {
    if (met.code !== "OUT_OF_MEMORY" || met.bytes !== undefined) {
      return this.#fail(spec, met, nowUs);
    }
    const ref = modelRef(spec.name, spec.version);
    const before = this.#shortages.get(ref) ?? 0;
    this.#shortages.delete(ref);
    if (this.#shortages.size >= this.#limits.residentsMax) this.#shortages.clear(); // I6
    this.#shortages.set(ref, before + 1);
    const bytes = Math.min(device.memoryTotalBytes, this.#freeBytes + 1);
    const { shortageUs, failedUs } = this.#limits;
    const waitUs = Math.min(failedUs, shortageUs * 2 ** before);
    this.#fail(spec, { ...met, bytes }, nowUs, nowUs + waitUs, this.#freeBytes);
  }

  /** Where there was no room, the scheduler learns how much it takes. */
  #fail(spec: ModelSpec, met: NotLoaded, nowUs: number, retryAtUs = nowUs, freeBytes = 0): void {
    const error = { code: met.code, message: met.message };
    const failure = { untilUs: nowUs + this.#limits.failedUs, retryAtUs, freeBytes };
    this.#set(spec, { state: "failed", bytes: met.bytes ?? 0, error }, failure);
  }

  #noRoom(spec: ModelSpec, freeBytes: number): NotLoaded {
    const bytes = this.#estimate(spec);
    const needs = `${formatBytes(bytes)} needed, ${formatBytes(freeBytes)} free`;
    return { ...fault("OUT_OF_MEMORY", `${modelRef(spec.name, spec.version)}: ${needs}`), bytes };
  }

  #estimate(spec: ModelSpec): number {
    return Math.ceil(spec.bytes * this.#limits.memoryFactor);
  }

  #entry(ref: string): Entry {
    return present(this.#entries.get(ref), `resident ${ref}`);
  }

  #end(kind: Operation["kind"], ref: string): void {
    const current = this.#current;
    assert(current?.kind === kind && current.ref === ref, `no ${kind} of ${ref} was under way`);
    this.#current = undefined;
  }

  #set(spec: ModelSpec, resident: Omit<Resident, "ref" | "digest">, failure?: Failure): void {
    const ref = modelRef(spec.name, spec.version);
    this.#entries.set(ref, { spec, resident: { ...resident, ref, digest: spec.digest }, failure });
    this.#revision++;
  }

  #delete(ref: string): void {
    this.#entries.delete(ref);
    this.#streaks.delete(ref);
    this.#revision++;
  }
}

const mustWait = (
  { retryAtUs, freeBytes }: Failure,
  nowFreeBytes: number,
  nowUs: number,
): boolean => nowUs < retryAtUs && nowFreeBytes <= freeBytes;
