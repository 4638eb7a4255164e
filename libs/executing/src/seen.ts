/** Which assignments of each scheduler arrived: for second deliveries, and for the heartbeat. */

import type { WorkerHeartbeat } from "@millrace/protocol";
import type { Batch } from "./batch.ts";
import type { WorkerLimits } from "./options.ts";

/** Ids remembered per scheduler: no delivery is repeated later than this many assignments on. */
const RECENT_MAX = 128;

interface Record {
  seen: number;
  heardUs: number;
  readonly recent: Set<number>;
}

export class SeenAssignments {
  readonly #schedulers = new Map<string, Record>();
  readonly #limits: WorkerLimits;

  constructor(limits: WorkerLimits) {
    this.#limits = limits;
  }

  /** False for a frame that was delivered before. */
  isNew(scheduler: string, id: number, nowUs: number): boolean {
    let record = this.#schedulers.get(scheduler);
    if (record === undefined) {
      this.#makeRoom();
      record = { seen: id, heardUs: nowUs, recent: new Set() };
      this.#schedulers.set(scheduler, record);
    }
    record.heardUs = nowUs;
    const { recent } = record;
    if (recent.has(id)) return false;
    recent.add(id);
    if (recent.size > RECENT_MAX) recent.delete(recent.values().next().value as number);
    // An id from far below is a scheduler that counts from the start again, not one that was late.
    if (id > record.seen || id + RECENT_MAX < record.seen) record.seen = id;
    return true;
  }

  /** The highest id from the scheduler; undefined for one that is forgotten. */
  last(scheduler: string): number | undefined {
    return this.#schedulers.get(scheduler)?.seen;
  }

  forget(scheduler: string): void {
    this.#schedulers.delete(scheduler);
  }

  forgetIdle(nowUs: number): void {
    for (const [scheduler, { heardUs }] of this.#schedulers) {
      if (nowUs - heardUs > this.#limits.schedulerIdleUsMax) this.#schedulers.delete(scheduler);
    }
  }

  /** What the heartbeat says. A forgotten scheduler still finds there what is held for it. */
  summary(held: readonly Batch[]): WorkerHeartbeat["assignments"] {
    const summary: { [scheduler: string]: { seen: number; held: number[] } } = {};
    for (const [scheduler, { seen }] of this.#schedulers) summary[scheduler] = { seen, held: [] };
    for (const { frame } of held) {
      (summary[frame.scheduler] ??= { seen: frame.id, held: [] }).held.push(frame.id);
    }
    return summary;
  }

  /** I6: the scheduler that was silent longest makes way. */
  #makeRoom(): void {
    if (this.#schedulers.size < this.#limits.schedulersMax) return;
    let oldest: string | undefined;
    let oldestUs = Number.POSITIVE_INFINITY;
    for (const [scheduler, { heardUs }] of this.#schedulers) {
      if (heardUs >= oldestUs) continue;
      oldest = scheduler;
      oldestUs = heardUs;
    }
    if (oldest !== undefined) this.#schedulers.delete(oldest);
  }
}
