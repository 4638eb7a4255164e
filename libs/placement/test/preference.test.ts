/** What a request would rather have, and what waiting for it is worth. */

import { DEVICE_CLASSES, type Lifecycle, type WorkerHeartbeat } from "@millrace/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DevicePool,
  DeviceState,
  type Place,
  reluctance,
  type Wish,
  worthWaitingNearUs,
} from "../src/index.ts";

const NEVER = (): boolean => false;
const place = (zone: string | undefined, lifecycle?: Lifecycle): Place => ({ zone, lifecycle });
const wish = (change: Partial<Wish> = {}): Wish => ({
  tier: 1,
  zone: "east",
  isAtRisk: NEVER,
  ...change,
});

describe("reluctance", () => {
  test("there is none in the caller's own zone, and some in another", () => {
    expect(reluctance(place("east", "on-demand"), wish())).toBe(0);
    expect(reluctance(place("west", "on-demand"), wish())).toBeGreaterThan(0);
  });

  test("who does not say where it stands is as near as any", () => {
    expect(reluctance(place(undefined), wish())).toBe(0);
    expect(reluctance(place("west"), wish({ zone: undefined }))).toBe(0);
  });

  test("realtime shuns spot machines in zones at risk, more than it shuns crossing", () => {
    const risky = wish({ tier: 0, isAtRisk: (zone) => zone === "east" });
    const spotHere = reluctance(place("east", "spot"), risky);
    expect(spotHere).toBeGreaterThan(reluctance(place("west", "on-demand"), risky));
    expect(reluctance(place("east", "on-demand"), risky)).toBe(0);
    expect(reluctance(place("west", "spot"), risky)).toBeLessThan(spotHere);
    expect(reluctance(place("east", "spot"), wish({ tier: 0 }))).toBe(0);
  });

  test("batch work prefers spot at any risk, and crosses for neither", () => {
    const batch = wish({ tier: 2, isAtRisk: () => true });
    const spotHere = reluctance(place("east", "spot"), batch);
    const dearHere = reluctance(place("east", "on-demand"), batch);
    const spotThere = reluctance(place("west", "spot"), batch);
    expect(spotHere).toBe(0);
    expect(spotHere).toBeLessThan(dearHere);
    expect(dearHere).toBeLessThan(spotThere);
  });
});

describe("waiting for a device nearby", () => {
  const price = { crossingUsPerByte: 0.07, nearWaitUsMax: 5_000 };

  test("is worth the crossing's price in device time, up to a bound", () => {
    expect(worthWaitingNearUs(0, price)).toBe(0);
    expect(worthWaitingNearUs(3_136, price)).toBe(219);
    expect(worthWaitingNearUs(602_112, price)).toBe(5_000);
  });

  test("is worth nothing where crossing costs nothing", () => {
    expect(worthWaitingNearUs(1e9, { ...price, crossingUsPerByte: 0 })).toBe(0);
  });
});

describe("a pool whose devices have places", () => {
  const options = { outstandingMax: 2, leadUs: 1_000 };

  function device(id: string, { lifecycle, zone }: Place): DeviceState<string> {
    const beat: WorkerHeartbeat = {
      v: 1,
      id,
      role: "gpu-worker",
      ...(zone === undefined ? {} : { zone }),
      ...(lifecycle === undefined ? {} : { lifecycle }),
      incarnation: 1,
      beat: 0,
      state: "ready",
      device: {
        class: DEVICE_CLASSES[0],
        name: id,
        memoryTotalBytes: 1,
        memoryFreeBytes: 1,
        memorySource: "budget",
      },
      progress: 0,
      inFlight: 0,
      backlogUs: 0,
      assignments: {},
      modelsRevision: 0,
    };
    return new DeviceState<string>(beat);
  }

  function poolOf(places: readonly Place[]): DevicePool<string> {
    const pool = new DevicePool<string>(options);
    for (const [at, each] of places.entries()) {
      const one = device(`w${at}`, each);
      pool.add(one);
      pool.setReady(one, new Set(["m"]));
      pool.idle(one);
    }
    return pool;
  }

  test("knows whether any has one, also when that one leaves", () => {
    const pool = poolOf([place(undefined), place("east")]);
    expect(pool.hasPlaces).toBe(true);
    const gone = pool.get("w1");
    if (gone !== undefined) pool.remove(gone);
    expect(pool.hasPlaces).toBe(false);
  });

  test("gives the idle device that suits best among those it weighs, and always gives one", () => {
    const places = fc.array(
      fc.record({
        zone: fc.constantFrom("east", "west", undefined),
        lifecycle: fc.constantFrom<(Lifecycle | undefined)[]>("on-demand", "spot", undefined),
      }),
      { minLength: 1, maxLength: 16 },
    );
    const tiers = fc.constantFrom(0 as const, 1 as const, 2 as const);
    fc.assert(
      fc.property(places, tiers, fc.boolean(), (fleet, tier, risk) => {
        const wanted = wish({ tier, isAtRisk: () => risk });
        const picked = poolOf(fleet).pick("m", tier, 0, () => true, false, wanted);
        const least = Math.min(...fleet.map((each) => reluctance(each, wanted)));
        expect(picked && reluctance(picked, wanted)).toBe(least);
      }),
    );
  });
});
