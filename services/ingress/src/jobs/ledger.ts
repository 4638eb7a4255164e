/**
 * Keeps the records of jobs while their chunks end. What ends for one job at about the same time is
 * one write; a chunk's end is in the record before the chunk leaves the queue (I5).
 */

import { type ChunkEnd, countWait, finishChunk, isAccepted, isEnded } from "@millrace/jobs";
import {
  encodeJson,
  type Fault,
  type HookTask,
  type JobRecord,
  RECEIVING_MS_MAX,
  subjects,
} from "@millrace/protocol";
import { ok, type Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";

type Change = (record: JobRecord) => JobRecord;
type Standing = Result<JobRecord | undefined, Fault>;

interface Pending {
  readonly change: Change;
  readonly settle: (standing: Standing) => void;
}

export interface LedgerOptions {
  readonly store: Pick<JobStore, "records" | "hooks">;
  /** How long records of ended jobs are kept. */
  readonly keptMs: number;
  readonly nowMs: () => number;
  readonly ended: (record: JobRecord) => void;
}

export class Ledger {
  readonly #options: LedgerOptions;
  /** By tenant and job: what waits for the next write, while one is on its way. */
  readonly #pending = new Map<string, Pending[]>();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** The record that stands after the chunk's end is in it; undefined where there is no job. */
  finish(tenant: string, job: string, end: ChunkEnd): Promise<Standing> {
    const { nowMs } = this.#options;
    return this.#change(tenant, job, (record) => finishChunk(record, end, nowMs()));
  }

  wait(tenant: string, job: string): Promise<Standing> {
    return this.#change(tenant, job, countWait);
  }

  /** How long a record is kept as it stands. */
  keptMs = (record: JobRecord): number | undefined => {
    if (!isAccepted(record)) return RECEIVING_MS_MAX;
    return isEnded(record) ? this.#options.keptMs : undefined;
  };

  /**
   * Queues the webhook of a job that has ended; the same end is queued once. Repeated by whoever
   * meets the ended job before its last chunk is out of the queue, so a crash loses none.
   */
  async announce(record: JobRecord): Promise<Result<void, Fault>> {
    const { tenant, id, webhook, endedAtMs } = record;
    if (webhook === undefined || endedAtMs === undefined || !isAccepted(record)) {
      return ok(undefined);
    }
    const task: HookTask = { v: 1, tenant, job: id };
    const once = `${tenant}:${id}:${endedAtMs}`;
    return this.#options.store.hooks.add(subjects.jobHook(tenant, id), once, encodeJson(task));
  }

  #change(tenant: string, job: string, change: Change): Promise<Standing> {
    const key = `${tenant}.${job}`;
    const { promise, resolve } = Promise.withResolvers<Standing>();
    const waiting = this.#pending.get(key);
    if (waiting !== undefined) {
      waiting.push({ change, settle: resolve });
    } else {
      this.#pending.set(key, [{ change, settle: resolve }]);
      void this.#write(tenant, job, key);
    }
    return promise;
  }

  async #write(tenant: string, job: string, key: string): Promise<void> {
    const { records } = this.#options.store;
    for (;;) {
      const batch = this.#pending.get(key) ?? [];
      if (batch.length === 0) {
        this.#pending.delete(key);
        return;
      }
      this.#pending.set(key, []);
      let wasEnded = false;
      const standing = await records.update(
        tenant,
        job,
        (record) => {
          wasEnded = record === undefined || isEnded(record);
          return ok(record && batch.reduce((last, { change }) => change(last), record));
        },
        this.keptMs,
      );
      if (standing.ok && standing.value !== undefined && !wasEnded && isEnded(standing.value)) {
        this.#options.ended(standing.value);
      }
      for (const { settle } of batch) settle(standing);
    }
  }
}
