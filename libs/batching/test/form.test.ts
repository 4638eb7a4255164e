/** Forming batches: limits, deadlines, slices, shapes, and when waiting pays. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tier } from "@millrace/protocol";
import { type BatchLimits, formBatch, ModelQueue, worthWaitingUs } from "../src/index.ts";
import { entry, linear } from "./fixtures.ts";

const limits: BatchLimits = {
  rowsMax: 8,
  sliceUsMax: [1_000_000, 1_000_000, 1_000],
  marginUs: 0,
  fetchUs: 0,
};
const all = (): boolean => true;

function queueOf(...entries: readonly ReturnType<typeof entry>[]): ModelQueue {
  const queue = new ModelQueue({ ticketsMax: 1_000, ageAfterUs: 1_000_000 });
  for (const one of entries) queue.push(one);
  return queue;
}

describe("forming a batch", () => {
  test("a batch fills up to the row limit and leaves the rest in order", () => {
    const queue = queueOf(
      ...Array.from({ length: 10 }, (_, at) => entry({ deadlineUs: 1e6 + at })),
    );
    const formed = formBatch(queue, linear(100, 10), limits, 0, 0, all);
    expect(formed.rows).toBe(8);
    expect(queue.size).toBe(2);
    expect(queue.peek()?.deadlineUs).toBe(1e6 + 8);
  });

  test("what is to run alone is a batch of its own, first or not", () => {
    const alone = entry({ deadlineUs: 1_000_001, alone: true });
    const others = [entry({ deadlineUs: 1_000_000 }), entry({ deadlineUs: 1_000_002 })];
    const queue = queueOf(alone, ...others);
    expect(formBatch(queue, linear(100, 10), limits, 0, 0, all).entries).toEqual(others);
    expect(formBatch(queue, linear(100, 10), limits, 0, 0, all).entries).toEqual([alone]);
    const first = queueOf(entry({ deadlineUs: 1, alone: true }), entry());
    expect(formBatch(first, linear(0, 0), limits, 0, 0, all).rows).toBe(1);
  });

  test("a batch stops growing where its most urgent ticket would be late", () => {
    // One row takes 200 us, two 300, and up to four 500: the first ticket allows two rows.
    const queue = queueOf(entry({ deadlineUs: 320 }), entry(), entry(), entry());
    const formed = formBatch(queue, linear(100, 100), limits, 0, 0, all);
    expect(formed.rows).toBe(2);
    expect(formed.latestStartUs).toBe(20);
  });

  test("a ticket whose body is to be fetched joins only where there is time to fetch it", () => {
    const fetching = { ...limits, fetchUs: 50 };
    const formed = (deadlineUs: number) =>
      formBatch(
        queueOf(entry({ deadlineUs }), entry({ remote: true })),
        linear(100, 100),
        fetching,
        0,
        0,
        all,
      );
    expect(formed(349).rows).toBe(1);
    expect(formed(350).rows).toBe(2);
    const alone = queueOf(entry({ deadlineUs: 210, remote: true }));
    expect(formBatch(alone, linear(100, 100), fetching, 0, 0, all).rows).toBe(1);
  });

  test("a batch may begin when it is planned to, however slow its model has been once", () => {
    const profile = linear(100, 100);
    profile.observe(1, 10_000);
    const planned = { startUs: 500, deadlineUs: 500 + profile.meanUs(1) };
    const queue = queueOf(entry({ deadlineUs: planned.deadlineUs }));
    const formed = formBatch(queue, profile, limits, 0, planned.startUs, all);
    expect(formed.latestStartUs).toBe(500);
  });

  test("a ticket that is late even alone is dropped then, not when it is late", () => {
    const late = entry({ deadlineUs: 150 });
    const queue = queueOf(late, entry());
    const formed = formBatch(queue, linear(100, 100), limits, 0, 0, all);
    expect(formed.missed).toEqual([{ entry: late, tier: 1 }]);
    expect(formed.rows).toBe(1);
  });

  test("for batch work alone what is more urgent is not looked at, however much that is", () => {
    const urgent = Array.from({ length: 200 }, () => entry({ tier: 1, deadlineUs: 1_000 }));
    const late = entry({ tier: 2, deadlineUs: 900_000 });
    const soon = entry({ tier: 2, deadlineUs: 800_000, arrivedUs: -60_000_000 });
    const queue = queueOf(...urgent, soon, late);
    queue.age(0);
    expect(soon.tier).toBeLessThan(2);
    const formed = formBatch(queue, linear(100, 10), limits, 0, 0, all, "batch");
    expect(formed.entries).toEqual([soon, late]);
    expect(queue.size).toBe(200);
    expect(queue.batchRows).toBe(0);
  });

  test("batch work that has moved up is cut to the slice of batch work", () => {
    const old = Array.from({ length: 8 }, () => entry({ tier: 2, arrivedUs: -60_000_000 }));
    const formed = formBatch(queueOf(...old), linear(100, 400), limits, 0, 0, all);
    expect(formed.tier).toBeLessThan(2);
    expect(formed.rows).toBe(2);
  });

  test("batch work is cut to its slice, and realtime is not", () => {
    const four = (tier: Tier) => Array.from({ length: 8 }, () => entry({ tier }));
    const slow = linear(100, 400);
    expect(formBatch(queueOf(...four(2)), slow, limits, 0, 0, all).rows).toBe(2);
    expect(formBatch(queueOf(...four(0)), slow, limits, 0, 0, all).rows).toBe(8);
  });

  test("other shapes wait for a batch of their own", () => {
    const odd = entry({ shapeKey: 7, deadlineUs: 2 ** 40 });
    const queue = queueOf(entry({ deadlineUs: 1e6 }), odd, entry({ deadlineUs: 2 ** 41 }));
    const formed = formBatch(queue, linear(1, 1), limits, 0, 0, all);
    expect(formed.rows).toBe(2);
    expect(queue.pop()).toBe(odd);
  });

  test("a batch is never a third padding", () => {
    const queue = queueOf(
      entry({ length: 10, deadlineUs: 1e6 }),
      entry({ length: 1_000, deadlineUs: 2e6 }),
      entry({ length: 12, deadlineUs: 3e6 }),
    );
    const formed = formBatch(queue, linear(1, 1), limits, 0, 0, all);
    expect(formed.entries.map(({ ticket }) => ticket.length)).toEqual([10, 12]);
  });

  test("a ticket that may not go to this device stays", () => {
    const barred = entry({ deadlineUs: 1e5 });
    const queue = queueOf(barred, entry());
    const formed = formBatch(queue, linear(1, 1), limits, 0, 0, (one) => one !== barred);
    expect(formed.rows).toBe(1);
    expect(queue.pop()).toBe(barred);
  });

  test("a batch keeps to the limit and to every deadline, and nothing is lost", () => {
    const ticket = fc.record({
      tier: fc.constantFrom<Tier>(0, 1, 2),
      deadlineUs: fc.integer({ min: 1, max: 5_000 }),
      rows: fc.integer({ min: 1, max: 8 }),
      shapeKey: fc.nat(2),
    });
    fc.assert(
      fc.property(
        fc.array(ticket, { minLength: 1, maxLength: 40 }),
        fc.nat(1_000),
        (tickets, startUs) => {
          const queue = queueOf(...tickets.map((one) => entry(one)));
          const profile = linear(200, 50);
          const formed = formBatch(queue, profile, limits, 0, startUs, all);
          expect(formed.rows).toBeLessThanOrEqual(limits.rowsMax);
          const finishUs = startUs + profile.meanUs(formed.rows);
          for (const { deadlineUs } of formed.entries)
            expect(finishUs).toBeLessThanOrEqual(deadlineUs);
          for (const { entry: missed } of formed.missed) {
            const { deadlineUs, ticket: each } = missed;
            expect(startUs + profile.meanUs(each.rows)).toBeGreaterThan(deadlineUs);
          }
          expect(formed.entries.length + formed.missed.length + queue.size).toBe(tickets.length);
        },
      ),
    );
  });
});

describe("waiting for company", () => {
  test("pays on a device whose time hardly grows with the batch, when more comes soon", () => {
    expect(worthWaitingUs(linear(5_000, 1), 1, 8, { rows: 1, gapUs: 100 })).toBe(100);
  });

  test("does not pay when time grows with every row, or nothing is expected soon", () => {
    expect(worthWaitingUs(linear(0, 5_000), 1, 8, { rows: 1, gapUs: 100 })).toBe(0);
    expect(worthWaitingUs(linear(5_000, 1), 1, 8, { rows: 1, gapUs: 50_000 })).toBe(0);
    expect(worthWaitingUs(linear(5_000, 1), 8, 8, { rows: 1, gapUs: 1 })).toBe(0);
  });
});
