/** Spot: what is bought of it, what stands in for it, and what is believed of a pool. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { countOf, PLAN_RULES, priceOf, SPOT_RULES, type WorkerGroup } from "@millrace/planning";
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
      rig.core.step({ type: "poolRefused", pool, held: 0 }, rig.nowUs);
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

  test("pays from the budget for those who stand in for spot as long as they are there", () => {
    const budget = 6_000_000;
    const rules = { ...PLAN_RULES, spot: SPOT_RULES, budgetMicrosPerHour: budget };
    const rig = new Rig({ rules, follow: { ...OPTIONS.follow, workersMax: 10 } });
    const wanted = new Map<string, WorkerGroup>();
    /** All that is wanted is ready at the next look. */
    const look = (): void => {
      for (const { zone, lifecycle, count } of wanted.values())
        for (let id = 0; id < count; id++)
          rig.worker(`${zone}-${lifecycle}-${id}`, lifecycle, zone);
      rig.load(20 * RATE);
      for (const effect of rig.wake()) {
        if (effect.type !== "want") continue;
        const { pool, count } = effect;
        wanted.set(`${pool.zone}/${pool.lifecycle}`, { ...pool, count });
      }
    };
    rig.worker("gpu-worker-1");
    for (const zone of DEFAULT_PRICE_BOOK.zones) {
      const pool = { kind: "gpu-l4", zone, lifecycle: "spot" } as const;
      rig.core.step({ type: "poolRefused", pool, held: 0 }, rig.nowUs);
    }
    look();
    expect(countOf([...wanted.values()], "gpu-l4")).toBe(6);
    for (let looks = 0; looks < 60; looks++) look();
    expect(priceOf([...wanted.values()], DEFAULT_PRICE_BOOK.offers)).toBeLessThanOrEqual(budget);
    expect(countOf([...wanted.values()], "gpu-l4")).toBeGreaterThan(6);
  });

  test("asks pools again that refused before the lease was taken", () => {
    const rig = new Rig({ rules: { ...PLAN_RULES, spot: SPOT_RULES } });
    for (const zone of DEFAULT_PRICE_BOOK.zones) {
      const pool = { kind: "gpu-l4", zone, lifecycle: "spot" } as const;
      rig.core.step({ type: "poolRefused", pool, held: 0 }, rig.nowUs);
    }
    rig.core.step({ type: "leaseTaken" }, rig.nowUs);
    rig.worker("gpu-worker-1");
    rig.load(4 * RATE);
    expect(wantsOf(rig.wake())["us-east-2a/spot"]).toBeGreaterThan(0);
  });

  test("adopts no spare of spot as a need, which would get a spare of its own", () => {
    const rig = new Rig({ rules: { ...PLAN_RULES, spot: SPOT_RULES } });
    rig.worker("gpu-worker-1");
    for (let id = 0; id < 10; id++) rig.worker(`spot-${id}`, "spot");
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 10, because: "floor" });
  });
});
