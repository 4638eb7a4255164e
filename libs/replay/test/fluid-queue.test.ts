/** The fluid queue by itself, and against the real scheduler, request by request. */

import fc from "fast-check";
import { FILL_SHARE } from "@millrace/planning";
import { describe, expect, test } from "vitest";
import { FluidQueue } from "../src/fluid-queue.ts";
import type { Stretch } from "../src/stretch.ts";
import { tryStretch } from "../src/trial.ts";

const DEVICES = 3;
const PER_SECOND = 100;
const CAPACITY = DEVICES * PER_SECOND;

/** Seconds at a load in shares of the capacity, and with how many devices. */
function stretchOf(
  ...parts: readonly (readonly [seconds: number, load: number, ready?: number])[]
): Stretch {
  const ticks = parts.flatMap(([seconds, load, ready = DEVICES]) =>
    Array.from({ length: seconds / 5 }, () => ({
      urgent: load * CAPACITY * 5,
      fills: false,
      ready,
    })),
  );
  return { firstTick: 0, ticks };
}

const shares = (stretch: Stretch, perSecond = PER_SECOND) => {
  const { fluid, scheduler } = tryStretch(stretch, perSecond, 3);
  expect(scheduler.requests / fluid.requests).toBeCloseTo(1, 3);
  const shareOf = (outcome: typeof fluid) => ({
    slow: outcome.slow / outcome.requests,
    failed: outcome.failed / outcome.requests,
  });
  return { fluid: shareOf(fluid), scheduler: shareOf(scheduler) };
};

describe("the fluid queue beside the real scheduler", () => {
  test("calls as much slow, and nothing failed, through an overload and after it", () => {
    const { fluid, scheduler } = shares(stretchOf([15, 0.8], [10, 1.3], [20, 0.6]));
    expect(fluid.slow).toBeGreaterThan(0.2);
    expect(Math.abs(scheduler.slow - fluid.slow)).toBeLessThan(0.05);
    expect([fluid.failed, scheduler.failed]).toEqual([0, 0]);
  });

  test("agrees that a load of 95 % of capacity is neither slow nor refused", () => {
    const { fluid, scheduler } = shares(stretchOf([30, 0.95]));
    expect([fluid.slow, fluid.failed, scheduler.failed]).toEqual([0, 0, 0]);
    expect(scheduler.slow).toBeLessThan(0.01);
  });

  test("agrees where workers leave, and others come", () => {
    const { fluid, scheduler } = shares(stretchOf([10, 0.6], [15, 0.6, 1], [30, 0.6, 4]));
    expect(fluid.slow).toBeGreaterThan(0.2);
    expect(Math.abs(scheduler.slow - fluid.slow)).toBeLessThan(0.05);
    expect([fluid.failed, scheduler.failed]).toEqual([0, 0]);
  });

  test("refuses a little more, because the scheduler keeps a reserve before deadlines", () => {
    const { fluid, scheduler } = shares(stretchOf([90, 2], [10, 0]));
    expect(fluid.failed).toBeGreaterThan(0.1);
    expect(scheduler.failed).toBeGreaterThan(fluid.failed);
    expect(scheduler.failed - fluid.failed).toBeLessThan(0.05);
  });

  test("answers what came for no worker at all: the scheduler at the deadline", () => {
    const { fluid, scheduler } = shares(stretchOf([5, 0.1, 0]));
    expect([fluid.failed, scheduler.failed]).toEqual([1, 1]);
  });

  test("has slow devices run single requests, and fast ones as many", () => {
    const slow = shares(stretchOf([60, 0.8 / 50]), PER_SECOND / 50);
    expect(slow.scheduler.failed).toBe(0);
    const fast = shares(stretchOf([10, 8]), PER_SECOND * 10);
    expect([fast.scheduler.slow, fast.scheduler.failed]).toEqual([0, 0]);
  });

  test("has deferred requests take what is left, and little of what is not", () => {
    const calm = stretchOf([30, 0.6]);
    const ticks = calm.ticks.map((tick) => ({ ...tick, fills: true }));
    const { scheduler } = tryStretch({ ...calm, ticks }, PER_SECOND, 3);
    expect(scheduler.failed).toBe(0);
    expect(scheduler.slow / scheduler.requests).toBeLessThan(0.01);
  });
});

describe("the fluid queue", () => {
  test("loses nothing: what came is done, failed or waits", () => {
    const step = fc.record({
      arrivals: fc.nat(1_000),
      deferred: fc.nat(500),
      capacity: fc.nat(1_200),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const queue = new FluidQueue(FILL_SHARE);
        for (const { arrivals, deferred, capacity } of steps) {
          expect(queue.step(arrivals, deferred, capacity, 5)).toBeLessThanOrEqual(capacity + 1e-6);
        }
        const { urgent, deferred, done, failed, slow } = queue.total;
        expect(done + failed + queue.queued + queue.waiting).toBeCloseTo(urgent + deferred, 5);
        expect(slow).toBeLessThanOrEqual(urgent + 1e-6);
      }),
    );
  });

  test("counts exactly the part of a step in which the wait is over a second", () => {
    const queue = new FluidQueue(1);
    // 20 a second more than can be done: after five seconds a second's work of 100 waits.
    queue.step(1_200, 0, 1_000, 10);
    expect(queue.total.slow).toBeCloseTo(600, 9);
    expect(queue.total.failed).toBe(0);
  });

  test("refuses what would wait over half a minute", () => {
    const queue = new FluidQueue(1);
    queue.step(10_000, 0, 1_000, 10);
    expect(queue.queued).toBe(3_000);
    expect(queue.total.failed).toBe(6_000);
    // With a tenth of the capacity, a tenth of the queue is half a minute's work.
    queue.step(0, 0, 100, 10);
    expect(queue.queued).toBe(300);
  });

  test("fails what waited half a minute for a worker that never came", () => {
    const queue = new FluidQueue(1);
    for (let at = 0; at < 3; at++) queue.step(10, 0, 0, 10);
    expect([queue.queued, queue.total.failed]).toEqual([30, 0]);
    queue.step(10, 0, 0, 10);
    expect([queue.queued, queue.total.failed]).toEqual([30, 10]);
  });

  test("keeps what waits for a first worker, and lets deferred work only have what is left", () => {
    const queue = new FluidQueue(0.5);
    queue.step(10, 0, 0, 5);
    expect(queue.queued).toBe(10);
    expect(queue.step(40, 100, 100, 5)).toBe(75);
    expect(queue.waiting).toBe(75);
  });
});
