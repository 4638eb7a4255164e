/** Records of jobs under repetition, disorder and races: what a crash may do to them. */

import fc from "fast-check";
import type { JobRecord } from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import {
  begin,
  cancel,
  type ChunkEnd,
  commit,
  countWait,
  finishChunk,
  isAccepted,
  isEnded,
  reopenChunk,
} from "../src/index.ts";

const draft = { id: "j1", tenant: "acme", model: "digits" };
const digest = "0".repeat(64);

function begun(before?: JobRecord): JobRecord {
  const result = begin(before, draft, 1);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function committed(record: JobRecord, items: number, chunks: number, nowMs = 2): JobRecord {
  const { generation } = record;
  const result = commit(record, { generation, items, chunks, digest }, nowMs);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

const end = (chunk: number, more: Partial<ChunkEnd> = {}): ChunkEnd => ({
  generation: 1,
  chunk,
  items: 2,
  failed: 0,
  dead: false,
  ...more,
});

test("a job ends exactly when the last of its chunks does, in any order", () => {
  const chunks = 6;
  const order = fc.array(fc.nat(chunks - 1), { maxLength: 40 });
  fc.assert(
    fc.property(order, fc.nat(40), (ends, commitAt) => {
      let record = begun();
      const finished = new Set<number>();
      for (const [at, chunk] of [...ends, ...Array(chunks).keys()].entries()) {
        // Chunks run while the job is still being received.
        if (at === commitAt) record = committed(record, 2 * chunks, chunks);
        const before = record;
        record = finishChunk(record, end(chunk, { failed: chunk === 0 ? 1 : 0 }), 3);
        if (finished.has(chunk)) expect(record).toBe(before);
        finished.add(chunk);
        expect(isEnded(record)).toBe(isAccepted(record) && finished.size === chunks);
      }
      if (!isAccepted(record)) record = committed(record, 2 * chunks, chunks);
      expect(record).toMatchObject({
        state: "done",
        finished: "0-5",
        finishedItems: 12,
        failedItems: 1,
      });
      expect(finishChunk(record, end(3), 9)).toBe(record);
    }),
  );
});

test("a job of which nothing succeeded has failed", () => {
  const record = committed(begun(), 2, 1);
  expect(finishChunk(record, end(0, { failed: 2 }), 3)).toMatchObject({
    state: "failed",
    endedAtMs: 3,
  });
});

describe("of two who receive the same job", () => {
  test("the later one voids the earlier one's chunks and its acceptance", () => {
    const early = begun();
    const late = begun(early);
    expect(late.generation).toBe(2);
    const lost = commit(late, { generation: 1, items: 2, chunks: 1, digest }, 3);
    expect(lost).toMatchObject({ ok: false, error: { code: "JOB_CONFLICT" } });
    expect(finishChunk(late, end(0), 3)).toBe(late);
    expect(committed(late, 2, 1).state).toBe("queued");
  });

  test("the one that comes after the acceptance is refused", () => {
    const accepted = committed(begun(), 2, 1);
    expect(begin(accepted, draft, 5)).toMatchObject({ ok: false, error: { code: "JOB_CONFLICT" } });
  });
});

test("an acceptance whose answer was lost is found done", () => {
  const accepted = committed(begun(), 2, 1);
  expect(committed(accepted, 2, 1, 99)).toBe(accepted);
  const ended = finishChunk(accepted, end(0), 3);
  expect(committed(ended, 2, 1, 99)).toBe(ended);
});

test("a job that was withdrawn is not accepted any more, and can be begun afresh", () => {
  const withdrawn = cancel(begun(), 2);
  const late = commit(withdrawn, { generation: 1, items: 2, chunks: 1, digest }, 3);
  expect(late).toMatchObject({ ok: false, error: { code: "JOB_CONFLICT" } });
  expect(begun(withdrawn)).toMatchObject({ state: "receiving", generation: 2 });
});

test("a job whose id was another's before does not find that one's results", () => {
  const generationAt = (nowMs: number): number | undefined => {
    const result = begin(undefined, draft, nowMs);
    return result.ok ? result.value.generation : undefined;
  };
  expect(generationAt(1_000)).not.toBe(generationAt(2_000));
});

test("what has ended stays as it ended", () => {
  const cancelled = cancel(committed(begun(), 4, 2), 3);
  expect(cancelled).toMatchObject({ state: "cancelled", endedAtMs: 3 });
  expect(cancel(cancelled, 9)).toBe(cancelled);
  expect(finishChunk(cancelled, end(0), 9)).toBe(cancelled);
  expect(countWait(cancelled)).toBe(cancelled);
  expect(reopenChunk(cancelled, end(0))).toBe(cancelled);
});

test("a chunk that was given up can be run again, once for each replay", () => {
  const two = finishChunk(committed(begun(), 4, 2), end(0), 3);
  const dead = end(1, { failed: 2, dead: true });
  const ended = finishChunk(two, dead, 4);
  expect(ended).toMatchObject({ state: "done", failedItems: 2, deadChunks: 1 });
  const open = reopenChunk(ended, dead);
  expect(open).toMatchObject({ state: "queued", finished: "0", failedItems: 0, deadChunks: 0 });
  expect(open.endedAtMs).toBeUndefined();
  expect(reopenChunk(open, dead)).toBe(open);
  expect(finishChunk(open, end(1), 5)).toMatchObject({ state: "done", finishedItems: 4 });
});
