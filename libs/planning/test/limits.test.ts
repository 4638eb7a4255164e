/** A model's own workers and budget, where it may run on several kinds. */

import { DEFAULT_PRICE_BOOK, type PriceBook } from "@millrace/costing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ModelDemand, PLAN_RULES, planFleet, SPOT_RULES } from "../src/index.ts";

const demand = (rate: number, rest: Partial<ModelDemand>): ModelDemand => ({
  model: "m",
  variant: "fp32",
  rates: [rate],
  memoryBytes: 2 ** 30,
  workersMin: 0,
  workersMax: 100,
  ...rest,
});

function planOf(
  one: ModelDemand,
  perSecond: { readonly gpu: number; readonly cpu: number },
  { isSpot = false, prices = DEFAULT_PRICE_BOOK }: { isSpot?: boolean; prices?: PriceBook } = {},
) {
  const plan = planFleet({
    startUs: 0,
    stepUs: 300_000_000,
    demands: [one],
    capacities: [
      { model: "m", variant: "fp32", kind: "gpu-l4", requestsPerSecond: perSecond.gpu },
      { model: "m", variant: "fp32", kind: "cpu-16", requestsPerSecond: perSecond.cpu },
    ],
    prices,
    rules: isSpot ? { ...PLAN_RULES, spot: SPOT_RULES } : PLAN_RULES,
  });
  const [step] = plan.steps;
  const needed = [...(step?.needed ?? [])].reduce((sum, [, count]) => sum + count, 0);
  return { plan, needed, micros: step?.microsPerHour ?? 0 };
}

test("a model's most workers hold on the kind that it is put on, not only on the fastest", () => {
  // CPUs would be cheaper by the request, and five of them would be needed.
  const { plan, needed } = planOf(demand(700, { workersMax: 4 }), { gpu: 200, cpu: 170 });
  expect(plan.infeasible).toEqual([]);
  expect([...(plan.steps[0]?.needed ?? [])]).toEqual([["gpu-l4", 4]]);
  expect(needed).toBe(4);
});

test.each([500_000, 1_000_000, 1_500_000])("a budget of %d counts the base on demand", (budget) => {
  const one = demand(300, { budgetMicrosPerHour: budget });
  const { plan, micros } = planOf(one, { gpu: 100, cpu: 1 }, { isSpot: true });
  expect(micros).toBeLessThanOrEqual(budget);
  expect(plan.infeasible.length).toBeGreaterThan(0);
});

test("neither is ever passed without being said", () => {
  const draw = fc.record({
    rate: fc.integer({ min: 1, max: 5_000 }),
    gpu: fc.integer({ min: 10, max: 400 }),
    cpu: fc.integer({ min: 10, max: 400 }),
    workersMax: fc.integer({ min: 0, max: 20 }),
    isSpot: fc.boolean(),
  });
  fc.assert(
    fc.property(draw, ({ rate, gpu, cpu, workersMax, isSpot }) => {
      const { needed } = planOf(demand(rate, { workersMax }), { gpu, cpu }, { isSpot });
      expect(needed).toBeLessThanOrEqual(workersMax);
    }),
    { numRuns: 500 },
  );
});
