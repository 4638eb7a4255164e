/** A model's own least workers: held whatever is known of its load, and by whichever policy. */

import { PLAN_RULES } from "@millrace/planning";
import { expect, test } from "vitest";
import { decisionOf, RATE, Rig } from "./rig.ts";

const limits = new Map([
  ["digits", { workersMin: 3 }],
  ["bert", { workersMin: 2 }],
]);

test.each(["forecast", "reactive"] as const)(
  "are held before there is a forecast (%s)",
  (policy) => {
    const rig = new Rig({ policy, limits });
    // The same workers may hold both models.
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 3, because: "floor" });
    rig.worker("gpu-worker-1");
    rig.load(0.1 * RATE);
    expect(decisionOf(rig.wake())?.workers).toBe(3);
    rig.load(8 * RATE);
    expect(decisionOf(rig.wake())?.workers).toBeGreaterThan(3);
  },
);

test("are held without the plan's floor, too", () => {
  const rig = new Rig({ policy: "reactive", limits });
  rig.worker("gpu-worker-1");
  rig.forecast([0.1]);
  expect(rig.wake().some(({ type }) => type === "planned")).toBe(true);
  expect(decisionOf(rig.wake())?.workers).toBe(3);
});

test("are placed by the plan where it knows the model, and of no first kind then", () => {
  const cheap = new Rig({ limits, kinds: ["cpu-16", "gpu-l4"] });
  cheap.worker("gpu-worker-1");
  cheap.forecast([0.1, 0.1]);
  const decided = cheap.wake().flatMap((each) => (each.type === "decided" ? [each] : []));
  const byKind = Object.fromEntries(decided.map(({ kind, decision }) => [kind, decision.workers]));
  // bert was never measured: its two stand on the first kind until it is.
  expect(byKind).toEqual({ "cpu-16": 2, "gpu-l4": 3 });
});

test("end where the fleet's budget does", () => {
  const rules = { ...PLAN_RULES, budgetMicrosPerHour: 2_000_000 };
  const rig = new Rig({ limits, rules });
  expect(decisionOf(rig.wake())).toMatchObject({ workers: 2, because: "budget" });
});
