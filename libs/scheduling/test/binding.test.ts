/** How early work is bound to a device, and who goes before what is bound. */

import type { Resident } from "@millrace/protocol";
import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { nextLeadUs } from "../src/lead.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const RUN_US = 10_000;

/** Every batch takes the same time. */
const even = (us: number): Resident => ({
  ...ready(A),
  warmUs: [
    [1, us],
    [2, us],
    [4, us],
  ],
});

/** A device with a batch of low priority that runs, and a full one that was bound behind it. */
function boundBatch(): Bench {
  const bench = new Bench();
  bench.know(record("a", { maxBatch: 4 }));
  bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
  for (let seq = 1; seq <= 5; seq++) bench.send(A, ticket(seq, { tier: 2 }));
  bench.pass(RUN_US - 3_500);
  expect(bench.assigned.map((effect) => bench.seqs(effect))).toEqual([[1], [2, 3, 4, 5]]);
  return bench;
}

describe("urgent work (I4)", () => {
  test("goes before less urgent work that is bound already", () => {
    const bench = boundBatch();
    bench.send(A, ticket(90, { tier: 0 }));
    expect(bench.seqs(bench.assigned[2])).toEqual([90]);
    expect(bench.assigned[2]?.frame.tier).toBe(0);
  });

  test("of one tier waits in the queue, where a batch of it is bound", () => {
    const bench = boundBatch();
    bench.send(A, ticket(90, { tier: 0 }));
    bench.send(A, ticket(91, { tier: 0 }), ticket(92, { tier: 0 }));
    bench.send(A, ticket(93, { tier: 1 }));
    expect(bench.assigned).toHaveLength(3);
    // The batch that was bound first is still behind: what is on is the urgent one.
    bench.done(present(bench.assigned[0], "the batch that runs"));
    expect(bench.seqs(bench.assigned[3])).toEqual([91, 92, 93]);
    expect(bench.assigned[3]?.frame.tier).toBe(0);
  });

  test("does not go to a device that is late: it may hang", () => {
    const bench = boundBatch();
    bench.pass(8 * RUN_US);
    const before = bench.assigned.length;
    bench.send(A, ticket(90, { tier: 0 }));
    expect(bench.assigned).toHaveLength(before);
  });

  test("of another model does so as well, and batch work does not", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 4 }));
    bench.know(record("b"));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US), ready("b@1", 1_000)] }));
    for (let seq = 1; seq <= 5; seq++) bench.send(A, ticket(seq, { tier: 2 }));
    bench.pass(RUN_US - 3_500);
    expect(bench.assigned).toHaveLength(2);
    bench.send("b@1", ticket(6, { tier: 2 }));
    expect(bench.assigned).toHaveLength(2);
    bench.send("b@1", ticket(7, { tier: 1 }));
    expect(bench.seqs(bench.assigned[2])).toContain(7);
  });

  test("is promised the time that it gets: what it goes before is not ahead of it", () => {
    const bench = boundBatch();
    bench.send(A, ticket(90, { tier: 0, remainingUs: RUN_US + 20_000 }));
    expect(bench.codes).toEqual([]);
    expect(bench.seqs(bench.assigned[2])).toEqual([90]);
  });
});

describe("where two devices have the model", () => {
  const LONG_US = 50_000;
  /** Both run a full batch, by their own word for so long yet. */
  function busy(firstUs: number, secondUs: number): Bench {
    const bench = new Bench({ fullLeadUs: [24_000, 24_000] });
    const models = [even(LONG_US)];
    bench.know(record("a", { maxBatch: 4 }));
    for (const id of ["gpu-1", "gpu-2"]) bench.hear(beat(id, { models }));
    for (const first of [1, 5]) {
      bench.send(A, ...[0, 1, 2, 3].map((more) => ticket(first + more, { tier: 2 })));
    }
    bench.pass(LONG_US / 2);
    for (const [id, backlogUs] of [
      ["gpu-1", firstUs],
      ["gpu-2", secondUs],
    ] as const) {
      const held = bench.assigned
        .filter(({ worker }) => worker === id)
        .map(({ frame }) => frame.id);
      const assignments = { "scheduler-1": { seen: Math.max(...held), held } };
      bench.hear({ ...beat(id, { models, assignments }), inFlight: held.length, backlogUs });
    }
    return bench;
  }
  const FOUR = [11, 12, 13, 14];

  test("a ticket that one cannot make in time waits for the other", () => {
    const bench = busy(23_500, 3_000);
    bench.send(A, ...FOUR.map((seq) => ticket(seq, { remainingUs: LONG_US + 20_000 })));
    expect(bench.codes).toEqual([]);
    expect(bench.assigned.slice(2).map(({ worker }) => worker)).toEqual(["gpu-2"]);
  });

  test("urgent work overtakes at the one that is free first, or not at all", () => {
    const bench = busy(23_500, 3_000);
    bench.send(A, ...FOUR.map((seq) => ticket(seq, { tier: 2 })));
    const [bound] = bench.assigned.slice(2);
    expect(bound?.frame.items).toHaveLength(4);
    bench.send(A, ticket(90, { tier: 0 }));
    bench.pass(2_500);
    expect(bench.assigned.slice(3).map(({ worker }) => worker)).toEqual(["gpu-2"]);
  });
});

describe("the lead of a full batch", () => {
  test("counts what waits at the device once, where that was seen when the last one ended", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 4 }));
    bench.hear(beat("gpu-1", { models: [even(RUN_US)] }));
    for (let seq = 0; seq < 40; seq++) bench.send(A, ticket(seq));
    bench.pass(RUN_US);
    const [first, second] = bench.assigned;
    const sent = bench.assigned.length;
    bench.done(present(first, "the batch that ran"), RUN_US, {
      backlogUs: RUN_US,
      seen: present(second, "the batch behind it").frame.id,
    });
    bench.pass(RUN_US - 3_500);
    expect(bench.assigned.length).toBeGreaterThan(sent);
  });

  test("grows where a device ran dry, shrinks otherwise, and keeps to its bounds", () => {
    const bounds = [4_000, 12_000] as const;
    let leadUs = 4_000;
    for (let end = 0; end < 3; end++) leadUs = nextLeadUs(leadUs, true, bounds);
    expect(leadUs).toBe(5_500);
    for (let end = 0; end < 10; end++) leadUs = nextLeadUs(leadUs, false, bounds);
    expect(leadUs).toBe(5_000);
    for (let end = 0; end < 100; end++) leadUs = nextLeadUs(leadUs, true, bounds);
    expect(leadUs).toBe(12_000);
    for (let end = 0; end < 1_000; end++) leadUs = nextLeadUs(leadUs, false, bounds);
    expect(leadUs).toBe(4_000);
  });

  test("is learned from batches that end with nothing behind them", () => {
    const bench = new Bench();
    bench.know(record("a", { maxBatch: 4 }));
    bench.hear(beat("gpu-1", { models: [ready(A, RUN_US)] }));
    let seq = 0;
    const fill = (): void => {
      for (let more = 0; more < 4; more++) bench.send(A, ticket(seq++, { tier: 2 }));
    };
    // The device is done long before it was expected to be, with a full batch in the queue.
    for (let round = 0; round < 12; round++) {
      fill();
      bench.done(present(bench.assigned.at(-1), "a batch"), RUN_US);
    }
    fill();
    const before = bench.assigned.length;
    bench.pass(RUN_US - 9_000);
    expect(bench.assigned.length).toBe(before + 1);
  });
});
