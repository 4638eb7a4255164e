/**
 * The two loops together: the floor of the plan, what load and queues add, and what is held back.
 */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { FOLLOW_OPTIONS, PLAN_RULES, priceOf } from "@millrace/planning";
import { describe, expect, test } from "vitest";
import { type ElasticEffect, rowsPerSecond as capacityOf } from "../src/index.ts";
import { decisionOf, OPTIONS, RATE, Rig, SECOND_US, START_US, STEP_US, wantsOf } from "./rig.ts";

describe("the elastic core", () => {
  test("wants the plan's workers a start-up time before they are needed", () => {
    const rig = new Rig();
    rig.worker("gpu-worker-1");
    rig.load(900);
    // One worker's load, then four from the second step on; a start takes 120 s.
    rig.forecast([0.9, 3.7, 3.7, 3.7]);
    expect(decisionOf(rig.wake())?.workers).toBe(1);
    rig.nowUs = START_US + STEP_US - 125 * SECOND_US;
    rig.worker("gpu-worker-1");
    rig.load(900);
    const early = rig.wake(10 * SECOND_US);
    expect(decisionOf(early)).toMatchObject({ workers: 4, because: "floor", floorWorkers: 4 });
    expect(Object.values(wantsOf(early)).reduce((sum, count) => sum + count, 0)).toBe(4);
  });

  test("measures what a worker can do of a model at that model's own objective", () => {
    const times = [
      { rows: 1, us: 4_000 },
      { rows: 10, us: 10_000 },
    ];
    const wanted = (objectivesUs: ReadonlyMap<string, number>): number | undefined => {
      const rig = new Rig({ objectivesUs });
      rig.worker("gpu-worker-1", "on-demand", "us-east-2a", "digits@1", times);
      rig.load(900);
      return decisionOf(rig.wake())?.workers;
    };
    // 1,000 rows a second in batches of ten, and 250 where two of those take too long.
    expect(wanted(new Map([["other", 8_000]]))).toBe(1);
    expect(wanted(new Map([["digits", 8_000]]))).toBe(4);
  });

  test("plans on for the others when the forecast of one model has run out", () => {
    const rig = new Rig();
    const worker = (): void => {
      rig.worker("gpu-worker-1");
      rig.worker("gpu-worker-2", "on-demand", "us-east-2a", "gone@1");
    };
    worker();
    rig.forecast([0.1], {}, "gone");
    rig.forecast([0.9, 3.7, 3.7, 3.7]);
    rig.wake();
    rig.nowUs = START_US + STEP_US;
    worker();
    expect(decisionOf(rig.wake())).toMatchObject({ because: "floor", floorWorkers: 4 });
  });

  test("adds to the floor for load that was not foreseen, and asks for it once", () => {
    const rig = new Rig();
    rig.worker("gpu-worker-1");
    rig.forecast([0.5, 0.5, 0.5]);
    rig.load(2_700);
    const first = rig.wake();
    expect(decisionOf(first)?.workers).toBe(3);
    rig.load(2_700);
    rig.worker("gpu-worker-1");
    expect(wantsOf(rig.wake())).toEqual({});
  });

  test("keeps what it has for the hold time after the load went", () => {
    const rig = new Rig();
    rig.worker("gpu-worker-1");
    rig.load(2_700);
    rig.wake();
    for (let wakes = 0; wakes < 60; wakes++) {
      rig.worker("gpu-worker-1");
      rig.load(10);
      expect(decisionOf(rig.wake())?.workers).toBe(3);
    }
    for (let wakes = 0; wakes < 90; wakes++) {
      rig.worker("gpu-worker-1");
      rig.load(10);
      rig.wake();
    }
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 1 });
  });

  test("says what it would do in advisory mode, and wants nothing", () => {
    const rig = new Rig({ follow: { ...FOLLOW_OPTIONS, workersMin: 1, advisory: true } });
    rig.worker("gpu-worker-1");
    rig.load(4_500);
    const effects = rig.wake();
    expect(decisionOf(effects)).toMatchObject({ workers: 5, binding: false });
    expect(wantsOf(effects)).toEqual({});
  });

  test("overrules a forecast that is absurd, says so, and plans with what is known", () => {
    const rig = new Rig();
    rig.worker("gpu-worker-1");
    rig.load(500);
    const counts = [Number.NaN, -5, 1e12, 0.5 * RATE * 300];
    const effects = rig.forecast([1], { mean: counts, quantiles: { "0.9": counts } });
    expect(effects).toMatchObject([{ type: "overruled", model: "digits" }]);
    expect(decisionOf(rig.wake())?.workers).toBeLessThanOrEqual(6);
  });

  test("a model gets no more workers than it may have, whatever arrives and waits", () => {
    const limits = new Map([["digits", { workersMax: 3 }]]);
    const rig = new Rig({ limits });
    rig.worker("gpu-worker-1");
    for (let look = 0; look < 20; look++) {
      rig.load(8 * RATE, 50 * RATE);
      expect(decisionOf(rig.wake())?.workers).toBeLessThanOrEqual(3);
    }
    expect(decisionOf(rig.wake())?.workers).toBe(3);
  });

  test("a model's budget is so many workers", () => {
    // Two and a half at a dollar less two cents.
    const limits = new Map([["digits", { budgetMicrosPerHour: 2_500_000 }]]);
    const rig = new Rig({ limits });
    rig.worker("gpu-worker-1");
    rig.load(8 * RATE);
    expect(decisionOf(rig.wake())?.workers).toBe(2);
  });

  test("the fleet's budget is what all kinds together may cost, and is said to have cut", () => {
    const rules = { ...PLAN_RULES, budgetMicrosPerHour: 3_000_000 };
    const rig = new Rig({ rules });
    rig.worker("gpu-worker-1");
    rig.load(20 * RATE);
    const effects = rig.wake();
    // Three at a dollar less two cents.
    expect(decisionOf(effects)).toMatchObject({ workers: 3, because: "budget" });
    const wants = Object.values(wantsOf(effects));
    expect(wants.reduce((sum, count) => sum + count, 0)).toBe(3);
    const two = new Rig({ rules, kinds: ["gpu-l4", "cpu-16"], follow: { ...FOLLOW_OPTIONS } });
    two.worker("gpu-worker-1");
    two.load(20 * RATE);
    const micros = two.wake().reduce((sum, effect) => {
      if (effect.type !== "want") return sum;
      return sum + priceOf([{ ...effect.pool, count: effect.count }], DEFAULT_PRICE_BOOK.offers);
    }, 0);
    expect(micros).toBeGreaterThan(1_500_000);
    expect(micros).toBeLessThanOrEqual(3_000_000);
  });

  test("what no worker's price fits into buys none, whatever the least is", () => {
    const rig = new Rig({ rules: { ...PLAN_RULES, budgetMicrosPerHour: 900_000 } });
    rig.load(RATE);
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 0, because: "budget" });
  });

  test("the plan keeps to a model's own least and most, and says what it lacks", () => {
    const limits = new Map([["digits", { workersMin: 2, workersMax: 3 }]]);
    const rig = new Rig({ limits });
    rig.worker("gpu-worker-1");
    const counts = [8 * RATE * 300, 0.1 * RATE * 300];
    rig.forecast([1], { mean: counts, quantiles: { "0.9": counts } });
    const plan = rig.wake().find(({ type }) => type === "planned");
    const steps = plan?.type === "planned" ? plan.plan.steps : [];
    expect(steps.slice(0, 2).map(({ needed }) => needed.get("gpu-l4"))).toEqual([3, 2]);
    expect(plan?.type === "planned" && plan.plan.infeasible[0]?.message).toContain(
      "raise the limit",
    );
  });

  test.each([
    [100, 2],
    [500, 5],
    [1_500, 10],
  ])("by the step rule a load of %d is %d workers", (load, workers) => {
    const rig = new Rig({ policy: "step-rule" });
    rig.worker("gpu-worker-1");
    rig.load(load);
    expect(decisionOf(rig.wake())).toMatchObject({ workers, because: "rule" });
  });

  test("the reactive policy has no floor of a plan", () => {
    const rig = new Rig({ policy: "reactive" });
    rig.worker("gpu-worker-1");
    rig.load(100);
    const counts = [8 * RATE * 300];
    rig.forecast([1], { mean: counts, quantiles: { "0.9": counts } });
    // The first look takes what it finds for needed.
    rig.wake();
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 1, floorWorkers: 0 });
  });

  test("says that it overrules once, and again when that changes or ends", () => {
    const rig = new Rig();
    rig.worker("gpu-worker-1");
    rig.load(500);
    const reasons = (...counts: readonly number[]): number[] =>
      rig
        .forecast([1], { mean: counts, quantiles: { "0.9": counts } })
        .flatMap((effect) => (effect.type === "overruled" ? [effect.reasons.length] : []));
    expect(reasons(-5, 1)).toEqual([1]);
    expect(reasons(-5, -7, 1)).toEqual([]);
    expect(reasons(-5, Number.NaN, 1)).toEqual([2]);
    expect(reasons(1, 1)).toEqual([0]);
    expect(reasons(1, 2)).toEqual([]);
  });

  test("takes over what runs once it has listened, and gives it back as slowly as its own", () => {
    const rig = new Rig({ settleUs: 8 * SECOND_US });
    const hear = (): void => ["a", "b", "c"].forEach((id) => rig.worker(id));
    rig.worker("a");
    expect(rig.wake(0).map(({ type }) => type)).toEqual(["refit"]);
    hear();
    expect(decisionOf(rig.wake())).toBeUndefined();
    hear();
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 3, because: "floor" });
    hear();
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 3, because: "hold" });
  });

  test("listens first when the lease comes back, and adopts what another started", () => {
    const rig = new Rig({ settleUs: 8 * SECOND_US });
    const hear = (workers: number, load: number): void => {
      for (let id = 0; id < workers; id++) rig.worker(`gpu-worker-${id}`);
      rig.load(load * RATE);
    };
    for (let looks = 0; looks < 30; looks++) {
      hear(2, 1.5);
      rig.wake();
    }
    hear(2, 1.5);
    expect(decisionOf(rig.wake())).toMatchObject({ workers: 2 });
    rig.nowUs += 1_200 * SECOND_US;
    rig.core.step({ type: "leaseTaken" }, rig.nowUs);
    expect(rig.core.wakeAtUs).toBe(rig.nowUs);
    hear(10, 8.5);
    const first = rig.wake(0);
    expect(decisionOf(first)).toBeUndefined();
    expect(wantsOf(first)).toEqual({});
    hear(10, 8.5);
    rig.wake();
    hear(10, 8.5);
    const adopted = rig.wake();
    expect(decisionOf(adopted)).toMatchObject({ workers: 10 });
    expect(wantsOf(adopted)).toMatchObject({ "us-east-2a/on-demand": 10 });
  });

  describe("down to nobody", () => {
    const follow = { ...FOLLOW_OPTIONS, workersMin: 0 };
    const sum = (effects: readonly ElasticEffect[]): number | undefined => {
      const wants = Object.values(wantsOf(effects));
      return wants.length === 0 ? undefined : wants.reduce((all, count) => all + count, 0);
    };

    test("asks for one worker at once for a model that was never measured", () => {
      const rig = new Rig({ follow });
      expect(sum(rig.wake())).toBe(0);
      rig.load(0);
      expect(rig.core.wakeAtUs).toBeGreaterThan(rig.nowUs);
      rig.nowUs += SECOND_US;
      rig.load(0, 1);
      expect(rig.core.wakeAtUs).toBe(rig.nowUs);
      const effects = rig.wake(0);
      expect(decisionOf(effects)).toMatchObject({ workers: 1 });
      expect(sum(effects)).toBe(1);
      // It was asked for: what still waits does not ask again.
      rig.nowUs += SECOND_US;
      rig.load(1, 2);
      expect(rig.core.wakeAtUs).toBeGreaterThan(rig.nowUs);
      expect(sum(rig.wake())).toBeUndefined();
    });

    test("gives the last one back after the hold time, and asks again by what was measured", () => {
      const rig = new Rig({ follow });
      rig.wake();
      rig.load(0, 1);
      expect(sum(rig.wake(0))).toBe(1);
      rig.worker("gpu-worker-1");
      rig.load(3);
      rig.wake();
      const holdLooks = follow.holdUs / follow.intervalUs;
      for (let looks = 0; looks < holdLooks; looks++) {
        rig.worker("gpu-worker-1");
        rig.load(0);
        expect(sum(rig.wake())).toBeUndefined();
      }
      const windowLooks = (2 * follow.stableUs) / follow.intervalUs;
      let wanted: number | undefined;
      for (let looks = 0; looks < windowLooks && wanted === undefined; looks++) {
        rig.worker("gpu-worker-1");
        wanted = sum(rig.wake());
      }
      expect(wanted).toBe(0);
      rig.core.step({ type: "workerLost", id: "gpu-worker-1" }, rig.nowUs);
      rig.load(0, 8);
      expect(sum(rig.wake(0))).toBe(1);
    });

    test("stays at nobody in advisory mode, and is not roused by what waits", () => {
      const rig = new Rig({ follow: { ...follow, advisory: true } });
      rig.wake();
      rig.load(0, 1);
      expect(rig.core.wakeAtUs).toBeGreaterThan(rig.nowUs);
      const effects = rig.wake();
      expect(decisionOf(effects)).toMatchObject({ workers: 1, binding: false });
      expect(sum(effects)).toBeUndefined();
    });
  });

  test("asks for a refit at once and then every refit time", () => {
    const rig = new Rig();
    expect(rig.wake(0).map(({ type }) => type)).toContain("refit");
    expect(rig.wake().map(({ type }) => type)).not.toContain("refit");
    expect(rig.wake(3_600 * SECOND_US).map(({ type }) => type)).toContain("refit");
  });
});

test("a model that is new is fitted with the next plan, and asked for until it is", () => {
  const rig = new Rig();
  const refits = (): ElasticEffect[] => rig.wake().filter(({ type }) => type === "refit");
  const atNextPlan = (): ElasticEffect[] => {
    rig.nowUs += OPTIONS.planUs;
    rig.load(RATE);
    return refits();
  };
  rig.wake(0);
  rig.load(RATE);
  expect(refits()).toEqual([]);
  expect(atNextPlan()).toEqual([{ type: "refit", models: ["digits"] }]);
  expect(atNextPlan()).toEqual([{ type: "refit", models: ["digits"] }]);
  rig.forecast([1]);
  expect(atNextPlan()).toEqual([]);
});

describe("a worker's capacity", () => {
  test("is that of the best batch of which two fit the objective", () => {
    const times = [
      { rows: 1, us: 1_000 },
      { rows: 8, us: 4_000 },
      { rows: 64, us: 60_000 },
    ];
    expect(capacityOf(times, 200_000)).toBe(2_000);
    expect(capacityOf(times, 10_000)).toBe(2_000);
    expect(capacityOf(times, 2_000)).toBe(1_000);
    expect(capacityOf(times, 500)).toBe(1_000);
    expect(capacityOf([], 500)).toBe(0);
  });
});
