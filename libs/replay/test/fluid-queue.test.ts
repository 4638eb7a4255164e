/** The fluid queue by itself, and against the real scheduler, event by event. */

import { FILL_SHARE } from "@millrace/planning";
import { seededRandom } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FluidQueue } from "../src/fluid-queue.ts";
import { DiscreteCluster, PER_DEVICE_PER_SECOND, type Stretch } from "./discrete.ts";

const DEVICES = 3;
const CAPACITY = DEVICES * PER_DEVICE_PER_SECOND;

/** The same stretches as a fluid, in ticks of a second, and then until it is empty. */
function fluid(stretches: readonly Stretch[]): FluidQueue {
  const queue = new FluidQueue(FILL_SHARE);
  for (const { seconds, perSecond } of stretches) {
    for (let at = 0; at < seconds; at++) queue.step(perSecond, 0, CAPACITY, 1);
  }
  while (queue.queued > 0) queue.step(0, 0, CAPACITY, 1);
  return queue;
}

describe("the fluid queue beside the real scheduler", () => {
  test("does as much, and calls as much slow, through an overload and after it", () => {
    const stretches = [
      { seconds: 15, perSecond: CAPACITY * 0.8 },
      { seconds: 10, perSecond: CAPACITY * 1.3 },
      { seconds: 20, perSecond: CAPACITY * 0.6 },
    ];
    const discrete = new DiscreteCluster(DEVICES, seededRandom(3)).run(stretches);
    const { total } = fluid(stretches);
    expect(discrete.refused).toBe(0);
    expect(total.failed).toBe(0);
    expect(discrete.done).toBe(discrete.arrived);
    expect(discrete.arrived / total.urgent).toBeCloseTo(1, 1);
    expect(discrete.mostPerSecond / CAPACITY).toBeGreaterThan(0.95);
    expect(discrete.mostPerSecond / CAPACITY).toBeLessThan(1.1);
    const slow = { discrete: discrete.slow / discrete.arrived, fluid: total.slow / total.urgent };
    expect(slow.fluid).toBeGreaterThan(0.2);
    expect(Math.abs(slow.discrete - slow.fluid)).toBeLessThan(0.05);
  });

  test("agrees that a load of 95 % of capacity is neither slow nor refused", () => {
    const stretches = [{ seconds: 30, perSecond: CAPACITY * 0.95 }];
    const discrete = new DiscreteCluster(DEVICES, seededRandom(5)).run(stretches);
    expect(discrete.refused).toBe(0);
    expect(discrete.slow / discrete.arrived).toBeLessThan(0.01);
    expect(fluid(stretches).total.slow).toBe(0);
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
