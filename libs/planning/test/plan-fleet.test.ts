/** Plans: enough for every step, cheapest first, with reasons, and honest where limits bind. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  countOf,
  describeReason,
  FILL_SHARE,
  fillTroughs,
  type ModelDemand,
  needBehind,
  PLAN_RULES,
  planFleet,
  type PlanRequest,
  plannedWorkers,
  saneRates,
  SPOT_RULES,
  spreadWorkers,
  STEP_RULE,
  workersByRule,
} from "../src/index.ts";

const STEP_US = 300_000_000;
/** Spot workers that are there, or on their way. */
const PRESENT = new Map([
  ["us-east-2a", 6],
  ["us-east-2b", 4],
]);

const demand = (rates: readonly number[], rest: Partial<ModelDemand> = {}): ModelDemand => ({
  model: "resnet",
  variant: "fp32",
  rates,
  memoryBytes: 2 ** 30,
  workersMin: 0,
  workersMax: 100,
  ...rest,
});

const request = (
  demands: readonly ModelDemand[],
  rest: Partial<PlanRequest> = {},
): PlanRequest => ({
  startUs: 0,
  stepUs: STEP_US,
  demands,
  capacities: demands.flatMap(({ model }) => [
    { model, variant: "fp32", kind: "gpu-l4", requestsPerSecond: 100 },
    { model, variant: "fp32", kind: "cpu-16", requestsPerSecond: 10 },
  ]),
  prices: DEFAULT_PRICE_BOOK,
  rules: PLAN_RULES,
  ...rest,
});

const withSpot = { ...PLAN_RULES, spot: SPOT_RULES };

describe("a plan", () => {
  test("keeps every step's load within the planned share of its workers", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (rates, spot) => {
          const rules = spot ? withSpot : PLAN_RULES;
          const plan = planFleet(request([demand(rates, { workersMax: 1_000 })], { rules }));
          expect(plan.infeasible).toEqual([]);
          plan.steps.forEach((step, at) => {
            const able =
              countOf(step.workers, "gpu-l4") * 100 + countOf(step.workers, "cpu-16") * 10;
            expect(able * PLAN_RULES.utilisationMax).toBeGreaterThanOrEqual(
              (rates[at] ?? 0) - 1e-6,
            );
          });
        },
      ),
    );
  });

  test("says when workers must be ordered, what they cost and why they are there", () => {
    const plan = planFleet(request([demand([400])], { rules: withSpot }));
    const [step] = plan.steps;
    expect(step?.orderAtUs).toBe(-120_000_000);
    expect(step?.reasons.map(describeReason)).toEqual([
      "5 gpu-l4: 4.21 workers' load of resnet",
      "1 gpu-l4 on demand: the base that no interruption reaches",
      "5 gpu-l4 spot for a need of 4",
    ]);
    // One on demand; three and two spot workers in the two cheapest zones.
    expect(step?.microsPerHour).toBe(978_000 + 3 * 374_000 + 2 * 389_000);
    expect(plan.micros).toBe(Math.round((step?.microsPerHour ?? 0) / 12));
    // The need: the spare is added where workers are spread, and not here as well.
    expect(plannedWorkers(plan, "gpu-l4", 1)).toBe(5);
    expect(plannedWorkers(plan, "gpu-l4", STEP_US)).toBe(0);
  });

  test("serves a small model from a CPU, and packs models that share a device's time", () => {
    const small = planFleet(request([demand([5])]));
    expect(countOf(small.steps[0]?.workers ?? [], "cpu-16")).toBe(1);
    const shared = planFleet(request([demand([45]), demand([45], { model: "bert" })]));
    expect(countOf(shared.steps[0]?.workers ?? [], "gpu-l4")).toBe(1);
  });

  test("lets a model leave every device while nothing is asked of it", () => {
    const plan = planFleet(request([demand([0, 50]), demand([50, 0], { model: "bert" })]));
    expect(plan.steps.map((step) => step.placements.map(({ model }) => model))).toEqual([
      ["bert"],
      ["resnet"],
    ]);
  });

  test("moves deferrable work into the trough and nowhere else", () => {
    const rates = [900, 900, 90, 90];
    const deferrable = { backlog: 0, arrivals: [0, 0, 20_000, 20_000] };
    const plan = planFleet(request([demand(rates, { deferrable })]));
    const counts = plan.steps.map(({ workers }) => countOf(workers, "gpu-l4"));
    expect(counts.slice(0, 2)).toEqual([10, 10]);
    expect(Math.max(...counts.slice(2))).toBeGreaterThan(1);
    const room = counts.reduce((sum, count, at) => sum + count * 95 - (rates[at] ?? 0), 0);
    expect(room * 300 * FILL_SHARE).toBeGreaterThanOrEqual(40_000);
    const deferring = plan.steps.map(({ reasons }) =>
      reasons.flatMap((reason) => (reason.rule === "deferred" ? [reason.workers] : [])),
    );
    expect(deferring.slice(0, 2)).toEqual([[0], [0]]);
    expect(deferring.slice(2).flat()).toContain((counts[2] ?? 0) - 1);
    const words = plan.steps.map(({ reasons }) => reasons.map(describeReason).join("; "));
    expect(words[0]).toContain("no gpu-l4 more: 0.1 worker-hours of resnet may wait");
    expect(words.slice(2).join()).toMatch(/\d more gpu-l4: 0.1 worker-hours of resnet may wait/);
  });

  test("gives what is due soon its room before the trough, and the rest the trough", () => {
    // A worker that is added does 95 x 300 x 0.9 = 25,650 requests in a step.
    const rates = [950, 950, 95, 95];
    const counts = (due: readonly { withinSteps: number; requests: number }[]): number[] => {
      const deferrable = { backlog: 50_000, arrivals: [0, 0, 0, 0], due };
      const plan = planFleet(request([demand(rates, { deferrable })]));
      return plan.steps.map(({ workers }) => countOf(workers, "gpu-l4"));
    };
    expect(counts([])).toEqual([10, 10, 2, 2]);
    expect(counts([{ withinSteps: 1, requests: 25_000 }])).toEqual([11, 10, 2, 1]);
    expect(counts([{ withinSteps: 2, requests: 50_000 }])).toEqual([11, 11, 1, 1]);
    // What arrives may wait as long as what is there.
    const arrivals = [25_000, 0, 0, 0];
    const plan = planFleet(
      request([demand(rates, { deferrable: { backlog: 0, arrivals, waitSteps: 0 } })]),
    );
    expect(countOf(plan.steps[0]?.workers ?? [], "gpu-l4")).toBe(11);
  });

  test("says how much of what may wait is not done in time", () => {
    const deferrable = { backlog: 10_000_000, arrivals: [0, 0] };
    const plan = planFleet(request([demand([90, 90], { deferrable, workersMax: 3 })]));
    expect(plan.infeasible.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^\d+\.\d of 29\.2 worker-hours that may wait .* by 3 workers/),
    ]);
  });

  test("holds deferrable work to its model's budget, and says what that leaves undone", () => {
    const deferrable = { backlog: 10_000_000, arrivals: [0, 0] };
    const budgetMicrosPerHour = 3_000_000;
    const plan = planFleet(request([demand([90, 90], { deferrable, budgetMicrosPerHour })]));
    expect(Math.max(...plan.steps.map((step) => step.microsPerHour))).toBe(3 * 978_000);
    expect(plan.infeasible.map(({ limit, message }) => [limit, message])).toEqual([
      [
        "budget",
        expect.stringMatching(/^\d+\.\d of 29\.2 .* by 3 workers, which is what the budget/),
      ],
    ]);
  });

  test("holds deferrable work to what the fleet's budget pays for", () => {
    const deferrable = { backlog: 10_000_000, arrivals: [0, 0] };
    const rules = { ...PLAN_RULES, budgetMicrosPerHour: 5_000_000 };
    const plan = planFleet(request([demand([90, 90], { deferrable })], { rules }));
    expect(plan.steps.map((step) => step.microsPerHour)).toEqual([5 * 978_000, 5 * 978_000]);
    expect(plan.infeasible.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^\d+\.\d of 29\.2 .* by 5 workers, which is what the budget/),
    ]);
  });

  test("says that a budget which binds leaves work that may wait undone", () => {
    // The load of bert takes a CPU, so that two GPUs more are above the budget.
    const deferrable = { backlog: 30_000, arrivals: [0] };
    const demands = [demand([0], { deferrable }), demand([9], { model: "bert", variant: "fp32" })];
    const rules = { ...PLAN_RULES, budgetMicrosPerHour: 2_000_000 };
    const plan = planFleet(request(demands, { rules }));
    expect(plan.steps[0]?.needed.get("gpu-l4")).toBeUndefined();
    expect(plan.infeasible.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^0\.1 of 0\.1 worker-hours that may wait .* budget of 2\.00 an hour/),
    ]);
  });

  test("puts deferrable work on the spare spot workers before it adds others", () => {
    // Seven workers' load, 0.63 of one free; the spare one of them takes what remains.
    const deferrable = { backlog: 0, arrivals: [36_000, 0] };
    const rates = [600, 600];
    const counts = (rules: typeof withSpot): number[] =>
      planFleet(request([demand(rates, { deferrable })], { rules })).steps.map(
        ({ needed }) => needed.get("gpu-l4") ?? 0,
      );
    expect(counts(withSpot)).toEqual([7, 7]);
    const noSpare = { ...withSpot, spot: { ...SPOT_RULES, overProvision: 0 } };
    expect(Math.max(...counts(noSpare))).toBeGreaterThan(7);
  });

  test("that no budget pays for says so, and what it would take", () => {
    const rules = { ...PLAN_RULES, budgetMicrosPerHour: 2_000_000 };
    const plan = planFleet(request([demand([100, 800])], { rules }));
    expect(plan.infeasible.map(({ message }) => message)).toEqual([
      "the fleet needs 8.80 an hour, the budget is 2.00 an hour: raise it to that, or serve 23 % of the peak",
    ]);
    for (const step of plan.steps) expect(step.microsPerHour).toBeLessThanOrEqual(2_000_000);
    expect(plan.steps[1]?.reasons[0]).toMatchObject({ rule: "budget" });
  });

  test("within no budget at all runs nothing, and says so", () => {
    const rules = { ...PLAN_RULES, budgetMicrosPerHour: 1 };
    const plan = planFleet(request([demand([100], { workersMin: 1 })], { rules }));
    expect(plan.steps[0]?.workers).toEqual([]);
    expect(plan.infeasible[0]?.limit).toBe("budget");
  });

  test.each([
    [{ workersMax: 3 }, "resnet needs 9.0 workers, 3.0 are allowed: raise the limit"],
    [
      { budgetMicrosPerHour: 3_000_000 },
      "resnet needs 8.80 an hour, the budget is 3.00 an hour: raise it to that, or serve 36 % of",
    ],
    [
      { budgetMicrosPerHour: 100_000 },
      "resnet needs 8.80 an hour, the budget is 0.10 an hour: raise it to that, or serve 0 % of",
    ],
    [{ workersMax: 0 }, "resnet needs 9.0 workers, 0.0 are allowed: raise the limit"],
    [{ memoryBytes: 2 ** 40 }, "resnet runs on no kind of the price book"],
  ])("holds a model to %j and says what it would take", (limits, message) => {
    const plan = planFleet(request([demand([800], limits)]));
    expect(plan.infeasible.map((each) => each.message).join()).toContain(message);
    expect(countOf(plan.steps[0]?.workers ?? [], "gpu-l4")).toBeLessThanOrEqual(3);
  });

  test("refuses rates that no forecast may hand on", () => {
    expect(() => planFleet(request([demand([Number.NaN])]))).toThrow("resnet has a rate");
    expect(() => planFleet(request([demand([-1])]))).toThrow("resnet has a rate");
  });
});

describe("spreading", () => {
  const { offers } = DEFAULT_PRICE_BOOK;

  test("keeps the base, the spare and the zones' shares, for any number of workers", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), (count) => {
        const groups = spreadWorkers("gpu-l4", count, offers, SPOT_RULES);
        const spot = groups.filter(({ lifecycle }) => lifecycle === "spot");
        const total = countOf(groups, "gpu-l4");
        const onSpot = countOf(spot, "gpu-l4");
        const base = total - onSpot;
        expect(base).toBe(Math.min(count, Math.max(1, Math.ceil(count * 0.1))));
        expect(onSpot).toBe(count - base + Math.round((count - base) * 0.15));
        for (const group of spot) {
          expect(group.count).toBeLessThanOrEqual(Math.max(Math.ceil(onSpot / 3), onSpot * 0.6));
        }
      }),
    );
  });

  test("tells the need from what was bought for it", () => {
    for (let count = 0; count < 200; count++) {
      const bought = spreadWorkers("gpu-l4", count, offers, SPOT_RULES);
      const spot = countOf(
        bought.filter(({ lifecycle }) => lifecycle === "spot"),
        "gpu-l4",
      );
      const onDemand = countOf(bought, "gpu-l4") - spot;
      expect(needBehind("gpu-l4", { onDemand, spot }, offers, SPOT_RULES)).toBe(count);
      // On demand for all of it, because spot was refused, or is not wanted.
      const none = { onDemand: count, spot: 0 };
      expect(needBehind("gpu-l4", none, offers, SPOT_RULES)).toBe(count);
      expect(needBehind("gpu-l4", none, offers, undefined)).toBe(count);
    }
  });

  test("buys no spare beyond the most workers that there may be", () => {
    const ground = { present: () => 0, open: () => true };
    const total = (workersMax: number): number =>
      countOf(spreadWorkers("gpu-l4", 20, offers, SPOT_RULES, { ...ground, workersMax }), "gpu-l4");
    expect([20, 21, 30].map(total)).toEqual([20, 21, 23]);
  });

  test.each([
    ["beside spot that starts", Number.POSITIVE_INFINITY, { spot: 10, "on-demand": 6 }],
    ["as far as there is room beside it", 12, { spot: 6, "on-demand": 6 }],
    ["and spot that takes work, where there is none", 10, { spot: 4, "on-demand": 6 }],
  ])("keeps who stands in for spot, %s", (_, workersMax, expected) => {
    // Ten on demand stood in; of the spot workers only the four in the second zone take work.
    const groups = spreadWorkers("gpu-l4", 10, offers, SPOT_RULES, {
      present: (zone, lifecycle) =>
        lifecycle === "on-demand" ? (zone === "us-east-2a" ? 10 : 0) : (PRESENT.get(zone) ?? 0),
      open: () => true,
      ready: (zone) => (zone === "us-east-2b" ? 4 : 0),
      workersMax,
    });
    const count = (lifecycle: string): number =>
      countOf(
        groups.filter((group) => group.lifecycle === lifecycle),
        "gpu-l4",
      );
    expect({ spot: count("spot"), "on-demand": count("on-demand") }).toEqual(expected);
    const second = groups.find(({ lifecycle, zone }) => lifecycle === "spot" && zone.endsWith("b"));
    expect(second?.count).toBe(4);
  });

  test("buys on demand what closed zones cannot give, without the spare", () => {
    const closed = { present: () => 0, open: () => false };
    const groups = spreadWorkers("gpu-l4", 10, offers, SPOT_RULES, closed);
    expect(groups.every(({ lifecycle }) => lifecycle === "on-demand")).toBe(true);
    expect(countOf(groups, "gpu-l4")).toBe(10);
  });

  test("buys no spot that is dearer than on demand with its spare", () => {
    const dear = offers.map((offer) =>
      offer.lifecycle === "spot" ? { ...offer, microsPerHour: 900_000 } : offer,
    );
    const groups = spreadWorkers("gpu-l4", 10, dear, SPOT_RULES);
    expect(groups.some(({ lifecycle }) => lifecycle === "spot")).toBe(false);
  });
});

test("troughs are filled to the lowest level that is enough, for any work", () => {
  const step = fc
    .record({ workers: fc.nat(20), idle: fc.double({ min: 0, max: 1, noNaN: true }) })
    .map(({ workers, idle }) => ({ workers, free: workers * idle }));
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.double({ min: 0, max: 500, noNaN: true }),
      (steps, work) => {
        const { added, undone } = fillTroughs(steps, work, 40);
        const room = (more: readonly number[]): number =>
          steps.reduce((sum, { free }, at) => sum + FILL_SHARE * (free + (more[at] ?? 0)), 0);
        expect(room(added) + undone).toBeGreaterThanOrEqual(work - 1e-6);
        // One worker fewer would not be enough.
        const one = added.findIndex((count) => count > 0);
        if (one !== -1 && undone === 0) {
          expect(room(added.with(one, (added[one] ?? 0) - 1))).toBeLessThan(work + 1e-6);
        }
      },
    ),
  );
});

describe("a forecast", () => {
  test("that makes sense is taken as it came", () => {
    expect(saneRates([1, 2, 3], 2, 10)).toEqual({ rates: [1, 2, 3], overruled: [] });
  });

  test.each([
    [[Number.NaN, 5], [7, 5], "1 steps that are no numbers: the last load instead"],
    [[-3, 5], [7, 5], "1 steps below zero: the last load instead"],
    [[Number.POSITIVE_INFINITY, 5], [10, 5], "1 steps above 20 times the highest load"],
    [[201, 5], [10, 5], "1 steps above 20 times the highest load"],
    [[0, 0], [7, 7], "nothing at all forecast under load"],
  ])("of %j is overruled and reported", (rates, sane, message) => {
    const result = saneRates(rates, 7, 10);
    expect(result.rates).toEqual(sane);
    expect(result.overruled.join()).toContain(message);
  });
});

test.each([
  [1_001, 10],
  [1_000, 5],
  [201, 5],
  [200, 2],
  [0, 2],
])("the step rule gives %d requests a second %d workers", (rate, workers) => {
  expect(workersByRule(STEP_RULE, rate)).toBe(workers);
});
