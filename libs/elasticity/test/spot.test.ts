/** Spot: what is bought of it, what stands in for it, and what is believed of a pool. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { PLAN_RULES, priceOf, SPOT_RULES } from "@millrace/planning";
import { describe, expect, test } from "vitest";
import { decisionOf, OPTIONS, RATE, Rig, wantsOf } from "./rig.ts";

describe("spot in the elastic core", () => {
  test("buys spot beyond the base, and on demand where spot is refused", () => {
    const rig = new Rig({ rules: { ...PLAN_RULES, spot: SPOT_RULES } });
    rig.worker("gpu-worker-1");
    rig.load(4_500);
    const first = wantsOf(rig.wake());
    const spot = Object.entries(first).filter(([key, count]) => key.endsWith("spot") && count > 0);
    expect(spot.length).toBeGreaterThan(1);
    for (const zone of DEFAULT_PRICE_BOOK.zones) {
      const pool = { kind: "gpu-l4", zone, lifecycle: "spot" } as const;
      rig.core.step({ type: "poolAnswered", pool, refused: true }, rig.nowUs);
    }
    rig.worker("gpu-worker-1");
    rig.load(4_500);
    const then = { ...first, ...wantsOf(rig.wake()) };
    const sum = (lifecycle: string): number =>
      Object.entries(then).reduce(
        (all, [key, count]) => all + (key.endsWith(lifecycle) ? count : 0),
        0,
      );
    expect(sum("spot")).toBe(0);
    expect(sum("on-demand")).toBe(5);
  });

  test.each([
    ["what the plan needs", 100 * PLAN_RULES.utilisationMax, 1_000, 114],
    ["the most that there may be", 40, 20, 20],
  ])("buys the spare of spot once, up to %s", (_, load, workersMax, total) => {
    const follow = { ...OPTIONS.follow, workersMax };
    const rig = new Rig({ follow, rules: { ...PLAN_RULES, spot: SPOT_RULES } });
    rig.worker("gpu-worker-1");
    const counts = [load * RATE * 300];
    const forecastOf = { mean: counts, quantiles: { "0.9": counts } };
    rig.forecast([1], forecastOf, "digits", 1_000 * RATE);
    const wants = Object.values(wantsOf(rig.wake()));
    expect(wants.reduce((sum, count) => sum + count, 0)).toBe(total);
  });

  test("counts the base and the spare of spot where it keeps to the fleet's budget", () => {
    const budget = 3_000_000;
    const rules = { ...PLAN_RULES, spot: SPOT_RULES, budgetMicrosPerHour: budget };
    const rig = new Rig({ rules });
    rig.worker("gpu-worker-1");
    rig.load(20 * RATE);
    const effects = rig.wake();
    const groups = effects.flatMap((effect) =>
      effect.type === "want" ? [{ ...effect.pool, count: effect.count }] : [],
    );
    const micros = priceOf(groups, DEFAULT_PRICE_BOOK.offers);
    expect(micros).toBeLessThanOrEqual(budget);
    expect(micros).toBeGreaterThan(budget - 978_000);
    expect(decisionOf(effects)?.because).toBe("budget");
  });

  test("adopts no spare of spot as a need, which would get a spare of its own", () => {
    const rig = new Rig({ rules: { ...PLAN_RULES, spot: SPOT_RULES } });
    rig.worker("gpu-worker-1");
    for (let id = 0; id < 10; id++) rig.worker(`spot-${id}`, "spot");
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 10, because: "floor" });
  });
});
