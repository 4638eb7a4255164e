/**
 * The models on the device: what is loaded, what is coming and going. One load or unload at a time,
 * in the order of the commands, so that what an unload frees is measured before the next load asks.
 */

import type { Command, ModelSpec, Resident } from "@millrace/protocol";
import { fault, modelRef } from "@millrace/protocol";
import { assert, formatBytes, present } from "@millrace/std";
import type { Loaded, NotLoaded, WorkerEffect } from "./events.ts";
import type { WorkerLimits } from "./options.ts";

interface Entry {
  readonly spec: ModelSpec;
  readonly resident: Resident;
  /** When a failure is forgotten. */
  readonly untilUs: number;
}

interface Operation {
  readonly kind: "load" | "unload";
  readonly ref: string;
}

export class Residents {
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: Operation[] = [];
  readonly #limits: WorkerLimits;
  #current: Operation | undefined;
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
  command(command: Command): void {
    if (command.kind === "load") this.#load(command.spec);
    else this.#unload(command.ref);
  }

  /**
   * The next load or unload, if none is under way. An unload waits for the model's batches, and a
   * load that has no room fails here.
   */
  next(
    freeBytes: number,
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
        this.#fail(ref, spec, this.#noRoom(spec, freeBytes), nowUs); // I3
        continue;
      }
      this.#current = operation;
      return kind === "load" ? { type: "load", spec } : { type: "unload", ref };
    }
  }

  loadEnded(ref: string, loaded: Loaded | NotLoaded, nowUs: number): void {
    this.#end("load", ref);
    const { spec, resident } = this.#entry(ref);
    if ("code" in loaded) {
      this.#waiting.splice(0, Infinity, ...this.#waiting.filter((other) => other.ref !== ref));
      this.#fail(ref, spec, loaded, nowUs);
      return;
    }
    const warmUs = loaded.warmUs.map(([rows, us]): [number, number] => [rows, us]);
    // An unload that came meanwhile waits in the queue.
    const state = resident.state === "unloading" ? "unloading" : "ready";
    this.#set(spec, { ref, state, bytes: loaded.bytes, warmUs });
  }

  unloadEnded(ref: string): void {
    this.#end("unload", ref);
    this.#delete(ref);
  }

  forgetFailed(nowUs: number): void {
    for (const [ref, { untilUs }] of this.#entries) if (nowUs >= untilUs) this.#delete(ref);
  }

  #load(spec: ModelSpec): void {
    const ref = modelRef(spec.name, spec.version);
    const entry = this.#entries.get(ref);
    if (entry === undefined || entry.resident.state === "failed") {
      if (entry === undefined && !this.#hasRoom()) return;
      this.#set(spec, { ref, state: "loading", bytes: this.#estimate(spec) });
      this.#waiting.push({ kind: "load", ref });
    } else if (entry.resident.state === "unloading" && this.#withdraw("unload", ref)) {
      const loading = this.#current?.ref === ref;
      this.#set(spec, { ...entry.resident, state: loading ? "loading" : "ready" });
    }
  }

  #unload(ref: string): void {
    const entry = this.#entries.get(ref);
    if (entry === undefined || entry.resident.state === "unloading") return;
    if (entry.resident.state === "failed" || this.#withdraw("load", ref)) {
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
    for (const [ref, { resident }] of this.#entries) {
      if (resident.state !== "failed") continue;
      this.#delete(ref);
      return true;
    }
    return false;
  }

  /** Where there was no room, the scheduler learns how much it takes. */
  #fail(ref: string, spec: ModelSpec, met: NotLoaded, nowUs: number): void {
    const error = { code: met.code, message: met.message };
    const untilUs = nowUs + this.#limits.failedUs;
    this.#set(spec, { ref, state: "failed", bytes: met.bytes ?? 0, error }, untilUs);
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

  #set(spec: ModelSpec, resident: Resident, untilUs = Number.POSITIVE_INFINITY): void {
    this.#entries.set(resident.ref, { spec, resident, untilUs });
    this.#revision++;
  }

  #delete(ref: string): void {
    this.#entries.delete(ref);
    this.#revision++;
  }
}
