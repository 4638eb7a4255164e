/** Versions of a model are planned each with what was measured of it. */

import { expect, test } from "vitest";
import { Measured } from "../src/measured.ts";
import { decisionOf, RATE, Rig, wantsOf } from "./rig.ts";

const TWICE_AS_FAST = [{ rows: 10, us: 5_000 }];

function loadOn(rig: Rig, ref: string, rowsPerSecond: number): void {
  const loads = [{ ref, rowsPerSecond, queuedRows: 0 }];
  rig.core.step({ type: "loadsHeard", scheduler: "scheduler-1", loads }, rig.nowUs);
}

/** Workers with both versions, heard in this order; the last one heard does not decide. */
function sideBySide(order: readonly string[]): Rig {
  const rig = new Rig();
  for (const ref of order) {
    rig.worker("a", "on-demand", "us-east-2a", ref, ref.endsWith("2") ? TWICE_AS_FAST : undefined);
  }
  rig.ready = 1;
  return rig;
}

const wanted = (rig: Rig): number =>
  Object.values(wantsOf(rig.wake())).reduce((sum, count) => sum + count, 0);

test.each([[["digits@1", "digits@2"]], [["digits@2", "digits@1"]]])(
  "of two that lie side by side, heard as %j, the one that is asked for counts",
  (order) => {
    const old = sideBySide(order);
    loadOn(old, "digits@1", 4 * RATE);
    const fresh = sideBySide(order);
    loadOn(fresh, "digits@2", 4 * RATE);
    const [forOld, forNew] = [wanted(old), wanted(fresh)];
    expect(forNew).toBeGreaterThanOrEqual(2);
    expect(forOld).toBeGreaterThanOrEqual(2 * forNew - 1);
  },
);

test("a rollback plans with the old version's figures again", () => {
  const rig = sideBySide(["digits@1", "digits@2"]);
  loadOn(rig, "digits@2", 4 * RATE);
  const fast = decisionOf(rig.wake());
  loadOn(rig, "digits@1", 4 * RATE);
  const slow = decisionOf(rig.wake());
  expect(slow?.workers).toBeGreaterThan(fast?.workers ?? Infinity);
});

test("the plan is made for the version that is asked for", () => {
  const plannedFor = (ref: string): number => {
    const rig = sideBySide(["digits@1", "digits@2"]);
    loadOn(rig, ref, RATE);
    rig.forecast([4, 4, 4, 4]);
    const [planned] = rig
      .wake()
      .flatMap((effect) => (effect.type === "planned" ? [effect.plan] : []));
    return planned?.steps[2]?.workers.reduce((sum, { count }) => sum + count, 0) ?? 0;
  };
  expect(plannedFor("digits@1")).toBe(5);
  expect(plannedFor("digits@2")).toBe(3);
});

test("a kind that has not held the version asked for counts with the newest that it has", () => {
  const measured = new Measured();
  measured.ran("gpu", "digits@1", 100);
  measured.ran("gpu", "digits@2", 200);
  measured.ran("cpu", "digits@1", 10);
  expect(measured.rate("gpu", "digits")).toBe(200);
  measured.asked("digits@1");
  expect(measured.rate("gpu", "digits")).toBe(100);
  measured.asked("digits@2");
  expect([measured.rate("gpu", "digits"), measured.rate("cpu", "digits")]).toEqual([200, 10]);
  expect(measured.capacities()).toEqual([
    { model: "digits", variant: "version 2", kind: "gpu", requestsPerSecond: 200 },
    { model: "digits", variant: "version 2", kind: "cpu", requestsPerSecond: 10 },
  ]);
  expect(measured.rate("tpu", "digits")).toBeUndefined();
});

test("versions without end are forgotten, the oldest first", () => {
  const measured = new Measured();
  for (let version = 1; version <= 100; version++) {
    measured.ran("gpu", `digits@${version}`, version);
    measured.resident(`digits@${version}`, 1_000 * version);
  }
  measured.asked("digits@92");
  expect(measured.rate("gpu", "digits")).toBe(100);
  measured.asked("digits@93");
  expect(measured.rate("gpu", "digits")).toBe(93);
  expect(measured.bytes("digits")).toBe(93_000);
});
