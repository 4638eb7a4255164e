/**
 * What the engine was handed: the run that is on, and the one that follows it without a word from
 * here, because a device that waits for this thread between two runs stands idle meanwhile.
 *
 * I4  the engine takes what it was handed by tier and then in the order of handing, and is handed
 *     whatever is more urgent than what waits there; after a run of part of a batch, or one that
 *     fails, it gives back what waits, because the next piece of that batch may have to go first
 */

import { assert } from "@millrace/std";
import type { Batch, Part } from "./batch.ts";
import type { RunResult, WorkerEffect } from "./events.ts";

export interface HandedRun {
  readonly id: number;
  readonly batch: Batch;
  readonly part: Part;
  /** The engine does not begin it later. */
  readonly startByUs: number;
  /** More of the batch is to run after it. */
  readonly partial: boolean;
}

/** So long after its latest start the engine has said that a run began, if it did. */
const SAID_WITHIN_US = 2_000;

export type Outcome = "ran" | "failed" | "not begun";

export const outcomeOf = (result: RunResult): Outcome =>
  result.ok ? "ran" : result.fault.code === "STALE_ASSIGNMENT" ? "not begun" : "failed";

export class Handed {
  /** In the order in which the engine takes them; the first is on. */
  readonly #runs: HandedRun[] = [];
  #onSinceUs = 0;
  /** What waits at the engine is on its way back: nothing is handed over before it is here. */
  #returning = false;
  /** Runs that were given up while they waited; what the engine says of them is no news. */
  readonly #givenUp = new Set<number>();
  #nextId = 1;

  /** The run that is on; of two that the engine got at the same time it may be the other. */
  get running(): HandedRun | undefined {
    return this.#runs[0];
  }

  /** Since when the first is on. */
  get onSinceUs(): number {
    return this.#onSinceUs;
  }

  holds(batch: Batch): boolean {
    return this.#runs.some((run) => run.batch === batch);
  }

  /** May this batch be handed over now? Behind another run only if it stays behind it. */
  takes(batch: Batch): boolean {
    if (this.#runs.length === 0) return true;
    if (this.#returning || batch.parts !== undefined) return false;
    const ahead = this.#runs.slice(0, this.#placeOf(batch));
    const goesBeforeLast = ahead.length < this.#runs.length;
    return (this.#runs.length === 1 || goesBeforeLast) && !ahead.some((run) => run.batch.hasMore);
  }

  /** Notes the run, and returns the effect that hands it over. */
  add(batch: Batch, part: Part, startByUs: number, nowUs: number): WorkerEffect {
    const id = this.#nextId++;
    if (this.#runs.length === 0) this.#onSinceUs = nowUs;
    const { frame, hasMore: partial, proof, spec } = batch;
    this.#runs.splice(this.#placeOf(batch), 0, { id, batch, part, startByUs, partial });
    const { tier } = frame;
    return { type: "run", id, tier, startByUs, spec, items: part, partial, proof: part === proof };
  }

  /** When the first of those that wait is too late to begin. */
  get wakeAtUs(): number {
    let wakeAtUs = Number.POSITIVE_INFINITY;
    for (const { startByUs } of this.#runs.slice(1)) wakeAtUs = Math.min(wakeAtUs, startByUs);
    return wakeAtUs + SAID_WITHIN_US + 1;
  }

  /** Gives up those that wait and are too late to begin, however long the one that is on takes. */
  giveUpLate(nowUs: number): void {
    for (const run of this.#runs.slice(1)) {
      if (nowUs <= run.startByUs + SAID_WITHIN_US) continue;
      this.#runs.splice(this.#runs.indexOf(run), 1);
      this.#givenUp.add(run.id);
      run.batch.takeBack();
    }
  }

  /** Takes the run out that ended; undefined for one that was given up. */
  end(id: number, outcome: Outcome, nowUs: number): HandedRun | undefined {
    if (this.#givenUp.delete(id)) return undefined;
    const at = this.#runs.findIndex((run) => run.id === id);
    assert(at >= 0, "a run ended that was not handed over");
    if (at === 0) this.#onSinceUs = nowUs;
    const run = this.#runs.splice(at, 1)[0] as HandedRun;
    if (outcome === "failed" || (outcome === "ran" && run.partial)) this.#returning = true;
    if (this.#runs.length === 0) this.#returning = false;
    return run;
  }

  clear(): void {
    this.#runs.length = 0;
    this.#returning = false;
  }

  #placeOf({ frame }: Batch): number {
    const behind = this.#runs.findIndex((run, at) => at > 0 && run.batch.frame.tier > frame.tier);
    return behind < 0 ? this.#runs.length : behind;
  }
}
