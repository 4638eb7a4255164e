/** Batch work that may wait: no workers for it at the peak, room in the trough, done in time. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { countOf, describeReason, FOLLOW_OPTIONS, PLAN_RULES } from "@millrace/planning";
import { expect, test } from "vitest";
import { ElasticCore, type ElasticEffect, type ElasticOptions } from "../src/index.ts";

const SECOND_US = 1_000_000;
const STEP_US = 300 * SECOND_US;
const START_US = 1_000 * STEP_US;
const HOUR_S = 3_600;
const KIND = "gpu-l4";
/** Rows a second of one worker. */
const RATE = 100;
/** What is planned of a worker in a step, and what of that deferred work can use. */
const STEP_ROWS = RATE * 300 * PLAN_RULES.utilisationMax * 0.9;

class Rig {
  readonly core: ElasticCore;
  nowUs = START_US;

  constructor(options: Partial<ElasticOptions> = {}) {
    this.core = new ElasticCore({
      prices: DEFAULT_PRICE_BOOK,
      kinds: [KIND],
      rules: PLAN_RULES,
      follow: { ...FOLLOW_OPTIONS, workersMin: 1 },
      quantile: "0.9",
      objectiveUs: 100_000,
      refitUs: HOUR_S * SECOND_US,
      planUs: 300 * SECOND_US,
      settleUs: 0,
      silentUsMax: 3_600 * SECOND_US,
      refusedForUs: 120 * SECOND_US,
      batchWaitUs: 6 * HOUR_S * SECOND_US,
      ...options,
    });
    const pool = { kind: KIND, zone: "us-east-2a", lifecycle: "on-demand" } as const;
    const residents = [{ ref: "digits@1", bytes: 1_000, times: [{ rows: 1, us: 10_000 }] }];
    this.core.step({ type: "workerHeard", id: "w", pool, ready: true, residents }, this.nowUs);
  }

  /** What is urgent, in workers' worth of load by step; of batch work as many rows in each. */
  forecast(urgent: readonly number[], batchRows = 0): void {
    const made = (counts: readonly number[]) => ({
      forecast: {
        startUs: START_US,
        stepUs: STEP_US,
        mean: counts,
        quantiles: { "0.9": counts },
        method: "ensemble",
        weights: {},
      },
      rowsPerRequest: 1,
      lastPerSecond: (counts[0] ?? 0) / 300,
      mostPerSecond: 10 * RATE,
    });
    const whole = made(urgent.map((workers) => workers * RATE * 300));
    const batch = made(urgent.map(() => batchRows));
    this.core.step({ type: "forecastMade", model: "digits", ...whole, batch }, this.nowUs);
  }

  load(rowsPerSecond: number, batch?: { rowsPerSecond: number; queuedRows: number }): void {
    const { queuedRows = 0, rowsPerSecond: more = 0 } = batch ?? {};
    const load = { ref: "digits@1", rowsPerSecond: rowsPerSecond + more, queuedRows };
    const loads = [batch === undefined ? load : { ...load, batch }];
    this.core.step({ type: "loadsHeard", scheduler: "s", loads }, this.nowUs);
  }

  jobs(items: number, agoS = 0): void {
    const acceptedAtUs = this.nowUs - agoS * SECOND_US;
    const jobs = [{ model: "digits", items, acceptedAtUs }];
    this.core.step({ type: "jobsHeard", jobs }, this.nowUs);
  }

  wake(): ElasticEffect[] {
    this.nowUs += 5 * SECOND_US;
    return this.core.step({ type: "woke" }, this.nowUs);
  }

  get planned(): readonly number[] {
    return (this.core.plan?.steps ?? []).map(({ workers }) => countOf(workers, KIND));
  }

  get reasons(): readonly string[] {
    return (this.core.plan?.steps ?? []).map(({ reasons }) => reasons.map(describeReason).join());
  }
}

const decisionOf = (effects: readonly ElasticEffect[]) =>
  effects.flatMap((effect) => (effect.type === "decided" ? [effect.decision] : []))[0];

/** Two hours of peak, and two of trough. */
const PEAK_THEN_TROUGH = Array.from({ length: 48 }, (_, at) => (at < 24 ? 4.75 : 0.95));
const QUEUE = { rowsPerSecond: 10 * RATE, queuedRows: 1_000 * RATE };

test("adds no worker at the peak, and workers in the trough, with the reason for both", () => {
  const rig = new Rig();
  rig.forecast(PEAK_THEN_TROUGH);
  rig.load(3 * RATE, QUEUE);
  rig.jobs(9.95 * STEP_ROWS);
  expect(decisionOf(rig.wake())).toMatchObject({ workers: 5, because: "floor" });
  expect(rig.planned.slice(0, 24)).toEqual(Array.from({ length: 24 }, () => 5));
  const added = rig.planned.slice(24).reduce((sum, count) => sum + count - 1, 0);
  expect(added).toBe(10);
  expect(rig.reasons[0]).toContain("no gpu-l4 more: 0.7 worker-hours of digits may wait");
  expect(rig.reasons.slice(24).join()).toContain("1 more gpu-l4: 0.7 worker-hours of digits");
});

test("without leave to wait the same queue asks for workers at once", () => {
  const rig = new Rig({ batchWaitUs: 0 });
  rig.forecast(PEAK_THEN_TROUGH);
  rig.load(3 * RATE, QUEUE);
  rig.jobs(9.95 * STEP_ROWS);
  expect(decisionOf(rig.wake())?.workers).toBeGreaterThan(10);
  expect(rig.core.defers("digits")).toBe(false);
});

test("a model's own limits say how long its batch work may wait", () => {
  const rig = new Rig({ limits: new Map([["digits", { batchWaitSeconds: 0 }]]) });
  expect([rig.core.defers("digits"), rig.core.defers("other")]).toEqual([false, true]);
  const other = new Rig({ batchWaitUs: 0, limits: new Map([["digits", { batchWaitSeconds: 9 }]]) });
  expect([other.core.defers("digits"), other.core.defers("other")]).toEqual([true, false]);
});

test("what has waited for long gets its workers at the peak", () => {
  const rig = new Rig();
  rig.forecast(PEAK_THEN_TROUGH);
  rig.load(3 * RATE, QUEUE);
  // Of six hours it has ten minutes left: two steps.
  rig.jobs(10 * STEP_ROWS, 6 * HOUR_S - 600 - 10);
  expect(decisionOf(rig.wake())?.workers).toBe(10);
  expect(rig.planned.slice(0, 3)).toEqual([10, 10, 5]);
});

test("is planned anew when a job comes, not when one is done in part", () => {
  const rig = new Rig();
  rig.forecast(PEAK_THEN_TROUGH);
  rig.load(3 * RATE);
  rig.wake();
  const plans = (): number => rig.wake().filter(({ type }) => type === "planned").length;
  rig.jobs(STEP_ROWS);
  expect(plans()).toBe(1);
  rig.jobs(STEP_ROWS / 2);
  expect(plans()).toBe(0);
});

test("the batch work that is foreseen has its room in the day's troughs too", () => {
  const rig = new Rig();
  rig.forecast(PEAK_THEN_TROUGH, STEP_ROWS / 4);
  rig.wake();
  expect(Math.max(...rig.planned.slice(0, 24))).toBe(5);
  const added = rig.planned.slice(24).reduce((sum, count) => sum + count - 1, 0);
  // Twelve worker-steps of work; a level is whole workers.
  expect([12, 13]).toContain(added);
});

test.each([0, 6 * HOUR_S])(
  "a fleet of nobody is roused by batch work unless it may wait: %d s",
  (waitS) => {
    const follow = { ...FOLLOW_OPTIONS, workersMin: 0 };
    const rig = new Rig({ batchWaitUs: waitS * SECOND_US, follow });
    rig.forecast(PEAK_THEN_TROUGH.map(() => 0));
    rig.core.step({ type: "workerLost", id: "w" }, rig.nowUs);
    rig.wake();
    rig.load(0, { rowsPerSecond: 0, queuedRows: 5 });
    expect(rig.core.wakeAtUs <= rig.nowUs).toBe(waitS === 0);
  },
);

test("what waits as batch and is of no job waits for no trough", () => {
  const rig = new Rig({ follow: { ...FOLLOW_OPTIONS, workersMin: 0 } });
  rig.forecast(PEAK_THEN_TROUGH.map(() => 0));
  rig.core.step({ type: "workerLost", id: "w" }, rig.nowUs);
  rig.wake();
  const look = (): number | undefined => {
    rig.load(0, { rowsPerSecond: 0, queuedRows: 5 });
    return decisionOf(rig.wake())?.workers;
  };
  // The record of a job that has just come may not have been read yet.
  expect(look()).toBe(0);
  for (let looks = 0; looks < 5; looks++) look();
  expect(look()).toBe(1);
});
