/** Predictions are corrected by what became of those before. */

import { present } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { Calibration } from "../src/calibration.ts";
import { Bench, beat, ready, record, ticket } from "./fixtures.ts";

const MS = 1_000;
const SECOND = 1_000 * MS;

describe("the factor", () => {
  test("is the largest of the last batches, from 1 to 2", () => {
    const calibration = new Calibration();
    expect(calibration.factor(0)).toBe(1);
    calibration.observe(100 * MS, 80 * MS, 1);
    expect(calibration.factor(1)).toBe(1);
    calibration.observe(100 * MS, 150 * MS, 2);
    calibration.observe(100 * MS, 120 * MS, 3);
    expect(calibration.factor(3)).toBe(1.5);
    calibration.observe(100 * MS, 900 * MS, 4);
    expect(calibration.factor(4)).toBe(2);
    for (let at = 0; at < 16; at++) calibration.observe(100 * MS, 110 * MS, 5);
    expect(calibration.factor(5)).toBeCloseTo(1.1);
  });

  test("learns nothing from short waits, and forgets what is long ago", () => {
    const calibration = new Calibration();
    calibration.observe(10 * MS, 30 * MS, 0);
    expect(calibration.factor(0)).toBe(1);
    calibration.observe(100 * MS, 150 * MS, 0);
    expect(calibration.factor(5 * SECOND)).toBe(1.5);
    expect(calibration.factor(6 * SECOND)).toBe(1);
    calibration.observe(100 * MS, 120 * MS, 6 * SECOND);
    expect(calibration.factor(6 * SECOND)).toBe(1.2);
  });
});

describe("a scheduler", () => {
  /** Runs of 100 ms, of one row each; the second is done so late, and four urgent ones wait. */
  function after(doneUs: number): Bench {
    const bench = new Bench({ suspectAfterUs: 60 * SECOND, forgetAfterUs: 90 * SECOND });
    bench.know(record("a", { maxBatch: 1 }));
    const warmUs: [number, number][] = [[1, 100 * MS]];
    bench.hear(beat("gpu-1", { models: [{ ...ready("a@1"), warmUs }] }));
    for (let seq = 1; seq <= 2; seq++) bench.send("a@1", ticket(seq, { remainingUs: 9 * SECOND }));
    bench.nowUs += 100 * MS;
    bench.done(present(bench.assigned[0], "the first"), 100 * MS);
    bench.nowUs += doneUs - 100 * MS;
    bench.done(present(bench.assigned[1], "the second"), 100 * MS);
    for (let seq = 3; seq <= 6; seq++) {
      bench.send("a@1", ticket(seq, { tier: 0, remainingUs: 9 * SECOND }));
    }
    return bench;
  }

  test("takes what it can serve in time as long as its predictions are right", () => {
    const bench = after(200 * MS);
    bench.send("a@1", ticket(7, { remainingUs: 800 * MS }));
    expect(bench.codes).toEqual([]);
  });

  test("refuses what would be late, if its wait is as much longer as those before", () => {
    const bench = after(360 * MS);
    bench.send("a@1", ticket(7, { remainingUs: 800 * MS }));
    expect(bench.codes).toEqual(["DEADLINE_UNREACHABLE"]);
  });

  test("takes what has nothing to wait for, however wrong it was before", () => {
    const bench = after(900 * MS);
    for (const run of [2, 3, 4, 5]) {
      bench.pass(100 * MS);
      bench.done(present(bench.assigned[run], "a run"), 100 * MS);
    }
    bench.send("a@1", ticket(7, { remainingUs: 130 * MS }));
    expect(bench.codes).toEqual([]);
    expect(bench.assigned).toHaveLength(7);
  });
});
