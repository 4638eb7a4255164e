/** A wall clock that is set back stops nothing: its timers are due at once, not an hour later. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { PLAN_RULES, SPOT_RULES } from "@millrace/planning";
import { expect, test } from "vitest";
import { decisionOf, RATE, Rig, SECOND_US, wantsOf } from "./rig.ts";

const HOUR_US = 3_600 * SECOND_US;

test("a forecast and a plan are made at once", () => {
  const rig = new Rig();
  rig.worker("w1");
  rig.load(RATE);
  rig.forecast([1, 2, 3]);
  expect(rig.wake().map(({ type }) => type)).toContain("planned");
  expect(rig.wake().map(({ type }) => type)).not.toContain("planned");
  const types = rig.wake(-HOUR_US).map(({ type }) => type);
  expect(types).toContain("refit");
  expect(types).toContain("planned");
  expect(rig.wake().map(({ type }) => type)).not.toContain("planned");
});

test("a forecaster that only listens after its start does not listen for an hour", () => {
  const rig = new Rig({ settleUs: 3 * SECOND_US });
  rig.worker("w1");
  rig.load(RATE);
  expect(decisionOf(rig.wake(0))).toBeUndefined();
  rig.nowUs -= HOUR_US;
  rig.worker("w1");
  rig.load(RATE);
  expect(decisionOf(rig.wake())).toBeDefined();
});

test("a worker that is silent since then is gone after as long as any other", () => {
  const rig = new Rig();
  rig.worker("w1");
  rig.load(RATE);
  const ready = (afterUs: number): number[] =>
    rig.wake(afterUs).flatMap((effect) => (effect.type === "decided" ? [effect.ready] : []));
  expect(ready(0)).toEqual([1]);
  expect(ready(-HOUR_US)).toEqual([1]);
  expect(ready(11 * SECOND_US)).toEqual([0]);
});

test("pools that refused are asked again", () => {
  const rig = new Rig({ rules: { ...PLAN_RULES, spot: SPOT_RULES } });
  const wanted: Record<string, number> = {};
  const spotAfter = (afterUs: number): number => {
    rig.nowUs += afterUs;
    rig.worker("w1");
    rig.load(4_500);
    Object.assign(wanted, wantsOf(rig.wake(0)));
    const counts = Object.entries(wanted).filter(([pool]) => pool.endsWith("spot"));
    return counts.reduce((sum, [, count]) => sum + count, 0);
  };
  expect(spotAfter(0)).toBeGreaterThan(0);
  for (const zone of DEFAULT_PRICE_BOOK.zones) {
    const pool = { kind: "gpu-l4", zone, lifecycle: "spot" } as const;
    rig.core.step({ type: "poolRefused", pool, held: 0 }, rig.nowUs);
  }
  expect(spotAfter(5 * SECOND_US)).toBe(0);
  expect(spotAfter(-HOUR_US)).toBeGreaterThan(0);
});
