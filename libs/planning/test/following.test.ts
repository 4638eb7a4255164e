/** The reactive loop and the fleet core, driven as the cluster would. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { seededRandom } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Counted,
  FleetCore,
  type FleetEffect,
  FOLLOW_OPTIONS,
  FollowingCore,
  type FollowOptions,
  type Observed,
  SPOT_RULES,
} from "../src/index.ts";

const SECOND_US = 1_000_000;

const observed = (change: Partial<Observed> = {}): Observed => ({
  type: "observed",
  arrivalsPerSecond: 300,
  queued: 0,
  readyWorkers: 4,
  perWorkerPerSecond: 100,
  floorWorkers: 0,
  ...change,
});

/** Steps every interval with the given observation and gives the last decision. */
function follow(core: FollowingCore, fromUs: number, seconds: number, event: Observed) {
  let decision = core.step(event, fromUs);
  for (let at = 5; at <= seconds; at += 5) decision = core.step(event, fromUs + at * SECOND_US);
  return decision;
}

const make = (change: Partial<FollowOptions> = {}): FollowingCore =>
  new FollowingCore({ ...FOLLOW_OPTIONS, ...change });

describe("the reactive loop", () => {
  test("wants the floor, or more where the load needs more", () => {
    expect(follow(make(), 0, 60, observed({ floorWorkers: 6 }))).toMatchObject({
      workers: 6,
      because: "floor",
    });
    expect(follow(make(), 0, 60, observed({ floorWorkers: 2 }))).toMatchObject({
      workers: 4,
      because: "load",
    });
  });

  test("adds for what waits", () => {
    const decision = make().step(observed({ queued: 12_000 }), 0);
    expect(decision).toMatchObject({ workers: 6, because: "queue" });
  });

  test("panics on a burst that the stable window does not see yet, and keeps what it has", () => {
    const core = make();
    follow(core, 0, 60, observed());
    const burst = follow(core, 65 * SECOND_US, 5, observed({ arrivalsPerSecond: 1_200 }));
    expect(burst).toMatchObject({ workers: 14, because: "panic" });
    const after = core.step(observed({ readyWorkers: 14 }), 80 * SECOND_US);
    expect(after.workers).toBe(14);
  });

  test("gives a worker back only after the hold time without need of it", () => {
    const core = make();
    follow(core, 0, 60, observed({ arrivalsPerSecond: 900, readyWorkers: 10 }));
    const low = observed({ arrivalsPerSecond: 100, readyWorkers: 10 });
    const soon = follow(core, 65 * SECOND_US, 590, low);
    expect(soon).toMatchObject({ workers: 10, because: "hold" });
    expect(follow(core, 660 * SECOND_US, 120, low).workers).toBe(2);
  });

  test("never goes below the load on the forecast alone", () => {
    const core = make();
    follow(core, 0, 60, observed({ floorWorkers: 9 }));
    const decision = follow(core, 65 * SECOND_US, 1_200, observed({ floorWorkers: 0 }));
    expect(decision.workers).toBe(4);
  });

  test("keeps within its least and most, and says which held it", () => {
    const core = make({ workersMin: 2, workersMax: 5 });
    expect(core.step(observed({ floorWorkers: 50 }), 0)).toMatchObject({
      workers: 5,
      because: "maximum",
    });
    expect(make().step(observed({ arrivalsPerSecond: 0 }), 0)).toMatchObject({
      workers: 2,
      because: "minimum",
    });
  });

  test("goes to zero where that is allowed, and wakes with the first request that waits", () => {
    const core = make({ workersMin: 0 });
    follow(core, 0, 60, observed());
    const idle = observed({ arrivalsPerSecond: 0, readyWorkers: 0 });
    expect(follow(core, 65 * SECOND_US, 700, idle).workers).toBe(0);
    expect(core.step({ ...idle, queued: 1 }, 800 * SECOND_US)).toMatchObject({
      workers: 1,
      because: "queue",
    });
  });

  test("says what it would do in advisory mode, and asks to be called again", () => {
    const core = make({ advisory: true });
    expect(core.step(observed({ floorWorkers: 6 }), 0)).toMatchObject({
      workers: 6,
      binding: false,
    });
    expect(core.wakeAtUs).toBe(5 * SECOND_US);
  });
});

const NORTH = { kind: "gpu-l4", zone: "us-east-2a" } as const;

const makeFleet = (spot: boolean): FleetCore =>
  new FleetCore({
    kind: "gpu-l4",
    offers: DEFAULT_PRICE_BOOK.offers,
    spot: spot ? SPOT_RULES : undefined,
    refusedForUs: 300 * SECOND_US,
    answerWithinUs: 60 * SECOND_US,
  });

const ordered = (effects: readonly FleetEffect[]): number =>
  effects.reduce((sum, effect) => sum + (effect.type === "order" ? effect.count : 0), 0);

const onDemand = (starting: number, ready: number): Counted => ({
  ...NORTH,
  lifecycle: "on-demand",
  starting,
  ready,
});

describe("the fleet core", () => {
  test("asks for nothing twice, whether an order is unanswered, starting or ready", () => {
    const fleet = makeFleet(false);
    expect(ordered(fleet.step({ type: "wanted", workers: 3 }, 0))).toBe(3);
    expect(fleet.step({ type: "wanted", workers: 3 }, 1)).toEqual([]);
    for (const zone of ["us-east-2a", "us-east-2b", "us-east-2c"]) {
      const place = { kind: "gpu-l4", zone, lifecycle: "on-demand" } as const;
      fleet.step({ type: "accepted", count: 1, ...place }, 2);
    }
    expect(fleet.step({ type: "wanted", workers: 3 }, 3)).toEqual([]);
    expect(ordered(fleet.step({ type: "wanted", workers: 5 }, 4))).toBe(2);
  });

  test("replaces a worker that is lost", () => {
    const fleet = makeFleet(false);
    fleet.step({ type: "counted", groups: [onDemand(0, 2)] }, 0);
    fleet.step({ type: "wanted", workers: 2 }, 0);
    expect(ordered(fleet.step({ type: "counted", groups: [onDemand(0, 1)] }, 1))).toBe(1);
  });

  test("releases starting workers before ready ones", () => {
    const fleet = makeFleet(false);
    fleet.step({ type: "counted", groups: [onDemand(2, 3)] }, 0);
    fleet.step({ type: "wanted", workers: 5 }, 0);
    expect(fleet.step({ type: "wanted", workers: 2 }, 1)).toEqual([
      { type: "release", ...NORTH, lifecycle: "on-demand", starting: 2, ready: 1 },
    ]);
  });

  test("lets what it finds be until it is told what is wanted", () => {
    const fleet = makeFleet(false);
    expect(fleet.step({ type: "counted", groups: [onDemand(1, 3)] }, 0)).toEqual([]);
  });

  test("falls back to on demand where spot is refused, and tries spot again later", () => {
    const fleet = makeFleet(true);
    const places = fleet
      .step({ type: "wanted", workers: 4 }, 0)
      .flatMap((effect) => (effect.type === "order" ? [effect] : []));
    expect(places.map(({ lifecycle }) => lifecycle)).toContain("spot");
    const accept = (effects: readonly FleetEffect[], nowUs: number): FleetEffect[] =>
      effects.flatMap((effect) => {
        if (effect.type !== "order") return [];
        const type = effect.lifecycle === "spot" ? "refused" : "accepted";
        return [effect, ...accept(fleet.step({ ...effect, type }, nowUs), nowUs)];
      });
    const all = accept(places, 1);
    const bought = all.filter((effect) => effect.type === "order" && effect.lifecycle !== "spot");
    expect(ordered(bought)).toBe(4);
    expect(fleet.wakeAtUs).toBe(1 + 300 * SECOND_US);
    const again = fleet.step({ type: "woke" }, 1 + 300 * SECOND_US);
    expect(again.some((effect) => effect.type === "order" && effect.lifecycle === "spot")).toBe(
      true,
    );
  });

  test("keeps the stand-in until the spot worker is ready", () => {
    const fleet = makeFleet(true);
    const spot = (starting: number, ready: number): Counted => ({
      ...NORTH,
      lifecycle: "spot",
      starting,
      ready,
    });
    fleet.step({ type: "counted", groups: [onDemand(0, 2), spot(1, 0)] }, 0);
    expect(fleet.step({ type: "wanted", workers: 2 }, 0)).toEqual([]);
    const effects = fleet.step({ type: "counted", groups: [onDemand(0, 2), spot(0, 1)] }, 1);
    expect(effects).toEqual([
      { type: "release", ...NORTH, lifecycle: "on-demand", starting: 0, ready: 1 },
    ]);
  });

  test("catches a driver whose count the heartbeats contradict", () => {
    const fleet = makeFleet(false);
    const groups = [{ ...onDemand(0, 1), claimedReady: 3 }];
    expect(fleet.step({ type: "counted", groups }, 0)).toContainEqual(
      expect.objectContaining({
        problem: "driver-contradicted",
        message: "the driver says 3 are ready, 1 are heard of",
      }),
    );
  });

  test("gives an order up that nobody answers, and says so", () => {
    const fleet = makeFleet(false);
    fleet.step({ type: "wanted", workers: 1 }, 0);
    const effects = fleet.step({ type: "woke" }, 60 * SECOND_US);
    expect(effects.some((effect) => effect.type === "report")).toBe(true);
    expect(ordered(effects)).toBe(1);
  });

  test("comes to rest at what is wanted, whatever is refused and lost on the way", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 30 }), (seed, last) => {
        const random = seededRandom(seed);
        const fleet = makeFleet(true);
        const counts = new Map<string, Counted>();
        const perform = (
          effects: readonly FleetEffect[],
          nowUs: number,
          refusing: boolean,
        ): void => {
          for (const effect of effects) {
            const key = `${effect.zone} ${effect.lifecycle}`;
            const group = counts.get(key) ?? { ...effect, starting: 0, ready: 0 };
            if (effect.type === "release") {
              expect(group.starting).toBeGreaterThanOrEqual(effect.starting);
              expect(group.ready).toBeGreaterThanOrEqual(effect.ready);
              const left = {
                starting: group.starting - effect.starting,
                ready: group.ready - effect.ready,
              };
              counts.set(key, { ...group, ...left });
            }
            if (effect.type !== "order") continue;
            if (refusing && effect.lifecycle === "spot" && random.chance(0.5)) {
              perform(fleet.step({ ...effect, type: "refused" }, nowUs), nowUs, refusing);
            } else {
              counts.set(key, { ...group, starting: group.starting + effect.count });
              fleet.step({ ...effect, type: "accepted" }, nowUs);
            }
          }
        };
        const round = (nowUs: number, wanted: number, faulty: boolean): void => {
          for (const [key, group] of counts) {
            const lost = faulty && random.chance(0.2) ? Math.min(1, group.ready) : 0;
            counts.set(key, { ...group, starting: 0, ready: group.ready + group.starting - lost });
          }
          const groups = [...counts.values()];
          perform(fleet.step({ type: "counted", groups }, nowUs), nowUs, faulty);
          perform(fleet.step({ type: "wanted", workers: wanted }, nowUs), nowUs, faulty);
        };
        for (let at = 0; at < 20; at++) round(at * 100 * SECOND_US, random.below(30), true);
        for (let at = 20; at < 30; at++) round(at * 100 * SECOND_US, last, false);
        const base = Math.min(last, Math.max(1, Math.ceil(last * 0.1)));
        const expected = last + Math.round((last - base) * 0.15);
        const total = [...counts.values()].reduce((sum, { ready }) => sum + ready, 0);
        expect(total).toBe(expected);
      }),
    );
  });
});
