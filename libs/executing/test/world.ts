/**
 * A worker core in a small world with its own bookkeeping: what was assigned, which bodies came,
 * what runs on the device. Every effect is checked against that; the checks are the invariants.
 */

import { type AssignmentItem, type ErrorCode, modelRef } from "@millrace/protocol";
import { assert, present } from "@millrace/std";
import type { WorkerEffect } from "../src/index.ts";
import { MIB, WorkerRig, device, item, modelSpec } from "./worker-rig.ts";

/** The models: ready from the start, loaded on command, too large to load. */
export const MODELS = [
  modelSpec("small", 4 * MIB, 4),
  modelSpec("single", 8 * MIB, 0),
  modelSpec("huge", 400 * MIB, 8),
];
/** More rows than this in a run are out of memory. */
const DEVICE_ROWS = 3;
const MEMORY_BYTES = 100 * MIB;

export interface NewItem {
  readonly ingress: string;
  readonly remote: boolean;
  readonly poisoned: boolean;
  readonly rows: number;
  readonly remainingUs: number;
}

interface Owed {
  readonly item: AssignmentItem;
  readonly poisoned: boolean;
  answer: ErrorCode | "ok" | undefined;
}

interface Assignment {
  readonly key: string;
  readonly model: string;
  readonly tier: number;
  readonly items: readonly Owed[];
  /** Held here, and not turned away at the door. */
  done: boolean;
}

const keyOf = (ingress: string, seq: number): string => `${ingress}/${seq}`;

export class World {
  readonly rig = new WorkerRig({ batchesMax: 6, bodiesBytesMax: 1_000 }, MEMORY_BYTES);
  readonly #owed = new Map<string, Owed>();
  readonly #assignments = new Map<string, Assignment>();
  readonly #awaited = new Set<string>();
  readonly #loaded = new Map<string, number>();
  /** The run that began last. */
  #begun = 0;
  #operation: Extract<WorkerEffect, { type: "load" | "unload" }> | undefined;
  #exit: string | undefined;
  #seq = 0;
  #last: (() => void) | undefined;

  constructor() {
    this.command("load", 0);
    this.endOperation(false);
  }

  get ended(): boolean {
    return this.#exit !== undefined;
  }

  get isRunning(): boolean {
    return this.rig.engine.length > 0;
  }

  assign(model: number, tier: 0 | 1 | 2, startWithinUs: number, news: readonly NewItem[]): void {
    const spec = present(MODELS[model], "a model");
    const ref = modelRef(spec.name, spec.version);
    const items = news.map(({ ingress, remote, poisoned, rows, remainingUs }): Owed => {
      const made = item(this.#seq++, { ingress, remote, rows, remainingUs, tier });
      const owed: Owed = { item: made, poisoned, answer: undefined };
      this.#owed.set(keyOf(ingress, made.seq), owed);
      return owed;
    });
    const frame = this.rig.frame(
      ref,
      items.map((owed) => owed.item),
      { tier, startWithinUs },
    );
    const key = `${frame.scheduler} ${frame.id}`;
    this.#assignments.set(key, { key, model: ref, tier, items, done: false });
    const deliver = (): void => {
      this.#check(this.rig.tell({ type: "assigned", frame }).effects);
    };
    this.#last = deliver;
    deliver();
  }

  deliverLastAgain(): void {
    this.#last?.();
  }

  /** The `at`-th of the bodies that were asked for comes, or is said to be gone. */
  body(at: number, gone: boolean): void {
    const keys = [...this.#awaited];
    const key = keys[at % Math.max(1, keys.length)];
    if (key === undefined) return;
    this.#awaited.delete(key);
    const { ingress, seq, attempt } = present(this.#owed.get(key), key).item;
    const body = new TextEncoder().encode(key);
    const id = { ingress, seq, attempt };
    const event = gone
      ? ({ type: "bodyGone", ...id } as const)
      : ({ type: "bodyArrived", ...id, body } as const);
    this.#check(this.rig.tell(event).effects);
  }

  /** Ends the run that is on as the device would, and begins the next. */
  endRun(fatal: boolean): void {
    const run = this.rig.engine[0]?.items;
    if (run === undefined) return;
    const rows = run.reduce((sum, held) => sum + held.item.rows, 0);
    const poisoned = run.some(
      ({ item: { ingress, seq } }) => this.#owed.get(keyOf(ingress, seq))?.poisoned === true,
    );
    if (fatal) this.#check(this.rig.failed("EXECUTION_FAILED", "sticky", true).effects);
    else if (rows > DEVICE_ROWS) this.#check(this.rig.failed("OUT_OF_MEMORY", "full").effects);
    else if (poisoned) this.#check(this.rig.failed("EXECUTION_FAILED", "row is NaN").effects);
    else {
      const outputs = run.map(({ body }) => ({ body }));
      this.#check(this.rig.ended({ ok: true, outputs, computeUs: 10 }).effects);
    }
  }

  command(kind: "load" | "unload", model: number): void {
    const spec = present(MODELS[model], "a model");
    const said =
      kind === "load" ? this.rig.load(spec) : this.rig.unload(modelRef(spec.name, spec.version));
    this.#check(said.effects);
  }

  endOperation(failed: boolean): void {
    const operation = this.#operation;
    if (operation === undefined) return;
    this.#operation = undefined;
    if (operation.type === "unload") {
      const { ref } = operation;
      this.#loaded.delete(ref);
      this.#check(this.rig.tell({ type: "unloadEnded", ref, device: this.#device() }).effects);
      return;
    }
    const { spec } = operation;
    const ref = modelRef(spec.name, spec.version);
    if (!failed) this.#loaded.set(ref, spec.bytes);
    const loaded = failed
      ? ({ code: "LOAD_FAILED", message: "no blob" } as const)
      : { bytes: spec.bytes, warmUs: [] };
    this.#check(this.rig.tell({ type: "loadEnded", ref, loaded, device: this.#device() }).effects);
  }

  pass(us: number): void {
    const untilUs = this.rig.nowUs + us;
    while (this.rig.core.wakeAtUs <= untilUs) {
      this.rig.nowUs = Math.max(this.rig.nowUs, this.rig.core.wakeAtUs);
      this.#check(this.rig.tell({ type: "woke" }).effects);
    }
    this.rig.nowUs = untilUs;
  }

  drain(): void {
    this.#check(this.rig.tell({ type: "drainBegan" }).effects);
  }

  /** Everything heals: runs end, the time of lost bodies passes; then nothing may be owed. */
  settle(): void {
    this.endOperation(false);
    for (let left = 1_000; left > 0 && !this.#isSettled(); left--) {
      if (this.isRunning) this.endRun(false);
      else this.pass(100_000);
    }
    for (const { answer, item: owed } of this.#owed.values()) {
      assert(answer !== undefined, `${owed.seq} was never answered`); // I1
    }
    for (const { done, key } of this.#assignments.values()) assert(done, `${key} is not done`);
  }

  #isSettled(): boolean {
    for (const { done } of this.#assignments.values()) if (!done) return false;
    return true;
  }

  #device() {
    let used = 0;
    for (const bytes of this.#loaded.values()) used += bytes;
    return device(MEMORY_BYTES - used);
  }

  #check(effects: readonly WorkerEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "answer") this.#checkAnswers(effect);
      if (effect.type === "done") {
        const key = `${effect.scheduler} ${effect.frame.id}`;
        const assignment = present(this.#assignments.get(key), key);
        assert(!assignment.done, `${key} is done twice`);
        const open = assignment.items.some(({ answer }) => answer === undefined);
        assert(!open, `${key} is done before it is answered`);
        assignment.done = true;
      }
      if (effect.type === "exit") {
        assert(this.#exit === undefined, "the process ends once");
        this.#exit = effect.reason;
      }
    }
    for (const effect of effects) {
      if (effect.type === "fetch") {
        for (const { seq } of effect.wants) this.#awaited.add(keyOf(effect.ingress, seq));
      }
      if (effect.type === "load" || effect.type === "unload") this.#checkOperation(effect);
    }
    this.#begin();
  }

  /** The engine begins what is first, but not past its latest start. */
  #begin(): void {
    const [run] = this.rig.engine;
    if (run === undefined || run.id === this.#begun || this.ended) return;
    if (run.startByUs < this.rig.nowUs) return this.#check(this.rig.stale(0).effects);
    this.#begun = run.id;
    this.#checkRun(run);
  }

  #checkAnswers({ ingress, items, frame }: Extract<WorkerEffect, { type: "answer" }>): void {
    const decoder = new TextDecoder();
    frame.answers.forEach(({ seq, error, body }, at) => {
      const key = keyOf(ingress, seq);
      const owed = present(this.#owed.get(key), key);
      assert(owed.item === items[at], `${key} stands with another's item`);
      assert(owed.answer === undefined, `${key} is answered twice`); // I1
      owed.answer = error ?? "ok";
      if (error === undefined) {
        assert(!owed.poisoned, `${key} is poisoned and has a result`);
        assert(decoder.decode(body) === key, `${key} has the output of another`); // I2
      }
      const blamed = error === "INPUT_REJECTED" || error === "EXECUTION_FAILED";
      assert(owed.poisoned || !blamed, `${key} pays for another's input`);
    });
  }

  #checkRun({ items, spec, proof }: Extract<WorkerEffect, { type: "run" }>): void {
    const ref = modelRef(spec.name, spec.version);
    assert(this.#loaded.has(ref), `${ref} runs and is not loaded`);
    const rows = items.reduce((sum, held) => sum + held.item.rows, 0);
    assert(rows <= Math.max(1, spec.maxBatch), `${rows} rows`); // I3
    // The witness was answered before, and is nobody's request any more.
    if (proof) return;
    for (const { item: owed, body } of items) {
      const key = keyOf(owed.ingress, owed.seq);
      assert(new TextDecoder().decode(body) === key, `${key} runs without its body`);
      assert(this.#owed.get(key)?.answer === undefined, `${key} runs after its answer`);
    }
    for (const { done, tier, items: held } of this.#assignments.values()) {
      if (done || tier >= (items[0]?.item.tier ?? 0)) continue;
      const waits = held.some(
        (owed) =>
          owed.answer === undefined && this.#awaited.has(keyOf(owed.item.ingress, owed.item.seq)),
      );
      assert(waits, `tier ${tier} waits for tier ${items[0]?.item.tier}`); // I4
    }
  }

  #checkOperation(effect: Extract<WorkerEffect, { type: "load" | "unload" }>): void {
    assert(this.#operation === undefined, "one load or unload at a time");
    this.#operation = effect;
    if (effect.type === "load") {
      const free = this.#device().memoryFreeBytes;
      assert(effect.spec.bytes * 1.2 <= free, "a load begins without room"); // I3
      return;
    }
    for (const { done, model } of this.#assignments.values()) {
      assert(done || model !== effect.ref, `${model} is unloaded while a batch is held`);
    }
  }
}
