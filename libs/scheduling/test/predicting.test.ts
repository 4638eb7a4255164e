/** What a ticket is taken to wait: for whom, on which devices, and who is right about it. */

import type { Resident } from "@millrace/protocol";
import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { ModelState } from "../src/models.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const A = "a@1";
const RUN_US = 100_000;
const SECOND_US = 1_000_000;
const each = (us: number): Resident => ({ ...ready(A), warmUs: [[1, us]] });

/** One row takes 100 ms on the GPU, and twenty times as long on each CPU. */
function fleet(cpus: number): Bench {
  const bench = new Bench();
  bench.know(record("a", { maxBatch: 1 }));
  bench.hear(beat("gpu-1", { models: [each(RUN_US)] }));
  for (let cpu = 1; cpu <= cpus; cpu++) {
    bench.hear(beat(`cpu-${cpu}`, { device: "cpu", models: [each(20 * RUN_US)] }));
  }
  return bench;
}

const admitted = (bench: Bench, count: number, remainingUs: number): number => {
  const before = bench.codes.length;
  for (let seq = 0; seq < count; seq++) bench.send(A, ticket(1_000 + seq, { remainingUs }));
  return count - (bench.codes.length - before);
};

describe("a predicted wait", () => {
  test("counts a slow device for what it is worth", () => {
    const alone = admitted(fleet(0), 40, SECOND_US);
    expect(alone).toBeGreaterThan(5);
    // Three twentieths more; as one more GPU each they would be counted as four.
    expect(admitted(fleet(3), 40, SECOND_US)).toBeLessThan(1.5 * alone);
  });

  test("is not hidden by one ticket with a long timeout", () => {
    const bench = fleet(0);
    const alone = admitted(fleet(0), 40, SECOND_US);
    bench.send(A, ticket(1, { remainingUs: 600 * SECOND_US }));
    expect(admitted(bench, 40, SECOND_US)).toBeLessThanOrEqual(alone);
  });

  test("is corrected by what became of its own tier only", () => {
    const model = new ModelState(A, { ticketsMax: 10, ageAfterUs: SECOND_US });
    const item = {
      ingress: "ingress-1",
      arrivedUs: 0,
      deadlineUs: SECOND_US,
      predictedUs: RUN_US,
      avoid: undefined,
      tier: 2,
      ticket: ticket(1, { tier: 2 }),
    } as const;
    model.noteDropped({ ...item }, SECOND_US);
    expect(model.calibrations.map((one) => one.factor(SECOND_US))).toEqual([1, 1, 2]);
  });
});

test("a model that others on its device are always served before moves up all the same", () => {
  const bench = new Bench();
  bench.know(record("a"));
  bench.know(record("b", { maxBatch: 1 }));
  bench.hear(beat("gpu-1", { models: [each(RUN_US), { ...each(RUN_US), ref: "b@1" }] }));
  let seq = 100;
  for (let more = 0; more < 4; more++) bench.send("b@1", ticket(seq++));
  bench.send(A, ticket(1, { tier: 2, remainingUs: 30 * SECOND_US }));
  const isServed = (): boolean => bench.assigned.some((one) => bench.seqs(one).includes(1));
  for (let turn = 0; turn < 80 && !isServed(); turn++) {
    bench.send("b@1", ticket(seq++, { remainingUs: 2 * SECOND_US }));
    bench.pass(RUN_US);
    bench.hear(beat("gpu-1", { models: [each(RUN_US), { ...each(RUN_US), ref: "b@1" }] }));
    const running = bench.assigned[turn];
    if (running !== undefined) bench.done(present(running, "a batch"), RUN_US);
  }
  expect(isServed()).toBe(true);
});
