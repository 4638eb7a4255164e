/**
 * A job's record from its first byte to its end: pure transitions, which the store writes by
 * compare-and-set. Applying one twice changes nothing, so every step may be repeated after a crash.
 */

import { type Fault, fault, type JobRecord } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { addMember, hasMember, removeMember } from "./ranges.ts";

export interface JobDraft {
  readonly id: string;
  readonly tenant: string;
  readonly model: string;
  readonly version?: number | undefined;
  readonly webhook?: string | undefined;
}

/** The results of one chunk stand. */
export interface ChunkEnd {
  readonly generation: number;
  readonly chunk: number;
  readonly items: number;
  readonly failed: number;
  /** It was given up. */
  readonly dead: boolean;
}

/** What was submitted, once all of it is in the queue. */
export interface Submitted {
  readonly generation: number;
  readonly items: number;
  readonly chunks: number;
  readonly digest: string;
}

export const isEnded = ({ state }: JobRecord): boolean =>
  state === "done" || state === "failed" || state === "cancelled";

/** Whether a client was told that it is accepted: the digest is written with the acceptance. */
export const isAccepted = ({ digest }: JobRecord): boolean => digest !== undefined;

/**
 * The record to write before the first chunk. One that was never accepted is begun afresh: whoever
 * received it is gone, or loses the race for the commit, because its generation is void.
 */
export function begin(
  before: JobRecord | undefined,
  draft: JobDraft,
  nowMs: number,
): Result<JobRecord, Fault> {
  if (before !== undefined && isAccepted(before)) {
    return fail(fault("JOB_CONFLICT", `job ${before.id} was accepted already`));
  }
  const { id, tenant, model, version, webhook } = draft;
  return ok({
    v: 1,
    id,
    tenant,
    model,
    ...(version === undefined ? {} : { version }),
    ...(webhook === undefined ? {} : { webhook }),
    state: "receiving",
    // Results outlive their job's record, so a later job with this id must not have a generation
    // that an earlier one had: it begins with the time.
    generation: before === undefined ? Math.max(1, nowMs) : before.generation + 1,
    createdAtMs: nowMs,
    items: 0,
    chunks: 0,
    finished: "",
    finishedItems: 0,
    failedItems: 0,
    deadChunks: 0,
    waits: 0,
  });
}

/**
 * I5: the job is accepted, and it is whole. What ran while it was being received counts already.
 * JOB_CONFLICT where somebody else received the same job meanwhile.
 */
export function commit(
  record: JobRecord | undefined,
  submitted: Submitted,
  nowMs: number,
): Result<JobRecord, Fault> {
  const { generation, items, chunks, digest } = submitted;
  if (record?.generation !== generation) {
    return fail(fault("JOB_CONFLICT", "the same Idempotency-Key was submitted again meanwhile"));
  }
  // An earlier try's write may have arrived although its answer did not.
  if (isAccepted(record)) return ok(record);
  if (record.state !== "receiving") return fail(fault("JOB_CONFLICT", "it was withdrawn"));
  return ok(settle({ ...record, state: "queued", items, chunks, digest }, nowMs));
}

/** Unchanged where the chunk's end is known, void, or of a job that was cancelled. */
export function finishChunk(record: JobRecord, end: ChunkEnd, nowMs: number): JobRecord {
  const { generation, chunk, items, failed, dead } = end;
  if (generation !== record.generation || isEnded(record)) return record;
  if (hasMember(record.finished, chunk)) return record;
  return settle(
    {
      ...record,
      finished: addMember(record.finished, chunk),
      finishedItems: record.finishedItems + items,
      failedItems: record.failedItems + failed,
      deadChunks: record.deadChunks + (dead ? 1 : 0),
    },
    nowMs,
  );
}

/** Takes back a chunk's end, so that it can run again: for dead letters. */
export function reopenChunk(record: JobRecord, end: ChunkEnd): JobRecord {
  const { generation, chunk, items, failed } = end;
  if (generation !== record.generation || record.state === "cancelled") return record;
  if (!hasMember(record.finished, chunk)) return record;
  const { endedAtMs: _endedAtMs, ...rest } = record;
  return {
    ...rest,
    state: "queued",
    finished: removeMember(record.finished, chunk),
    finishedItems: record.finishedItems - items,
    failedItems: record.failedItems - failed,
    deadChunks: Math.max(0, record.deadChunks - 1),
  };
}

/** A job that has ended stays as it is. */
export const cancel = (record: JobRecord, nowMs: number): JobRecord =>
  isEnded(record) ? record : { ...record, state: "cancelled", endedAtMs: nowMs };

/** A delivery ended because the cluster could not serve. */
export const countWait = (record: JobRecord): JobRecord =>
  isEnded(record) ? record : { ...record, waits: record.waits + 1 };

/** Ends the job where all of its items have: `failed` when not one of them succeeded. */
function settle(record: JobRecord, nowMs: number): JobRecord {
  const { state, items, finishedItems, failedItems } = record;
  if (state !== "queued" || finishedItems < items) return record;
  return { ...record, state: failedItems === items ? "failed" : "done", endedAtMs: nowMs };
}
