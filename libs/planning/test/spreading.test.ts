/** Where workers go when zones refuse, and when others than are due are there already. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { describe, expect, test } from "vitest";
import { type Ground, SPOT_RULES, spreadWorkers, workersPaid } from "../src/index.ts";

const { offers } = DEFAULT_PRICE_BOOK;
const KIND = "gpu-l4";

/** Counts by `zone/lifecycle`, without the region. */
const spread = (count: number, ground: Partial<Ground>, isSpot = true): Record<string, number> => {
  const rules = isSpot ? SPOT_RULES : undefined;
  const whole = { present: () => 0, open: () => true, ...ground };
  return Object.fromEntries(
    spreadWorkers(KIND, count, offers, rules, whole).map(({ count: each, lifecycle, zone }) => [
      `${zone.slice(-1)}/${lifecycle}`,
      each,
    ]),
  );
};

const counted =
  (counts: Readonly<Record<string, number>>) =>
  (zone: string, lifecycle: string): number =>
    counts[`${zone.slice(-1)}/${lifecycle}`] ?? 0;

describe("on demand", () => {
  test("is asked for elsewhere where a zone refuses, and stays where it is when that opens", () => {
    const open = (zone: string): boolean => zone !== "us-east-2a";
    expect(spread(3, { open }, false)).toEqual({ "b/on-demand": 2, "c/on-demand": 1 });
    const present = counted({ "b/on-demand": 2, "c/on-demand": 1 });
    expect(spread(3, { present }, false)).toEqual({ "b/on-demand": 2, "c/on-demand": 1 });
  });

  test("is asked for all the same where every zone refuses: nothing else can stand in", () => {
    const total = Object.values(spread(3, { open: () => false }, false));
    expect(total.reduce((sum, each) => sum + each, 0)).toBe(3);
  });
});

describe("spot", () => {
  test("that is on its way is not cancelled for a cheaper zone that may be asked again", () => {
    const present = counted({ "a/on-demand": 3, "b/on-demand": 2, "c/on-demand": 2, "b/spot": 3 });
    const ready = counted({ "a/on-demand": 3, "b/on-demand": 2, "c/on-demand": 2 });
    const found = spread(10, { present, ready, workersMax: 10 });
    expect([found["a/spot"], found["b/spot"]]).toEqual([undefined, 3]);
  });

  test("that takes work stays until what is due elsewhere takes it", () => {
    // Three of five are too many for a zone once four do.
    const before = { "a/on-demand": 1, "a/spot": 3, "b/spot": 2 };
    const found = spread(4, { present: counted(before), ready: counted(before) });
    const serving = Object.entries(found).map(([key, each]) =>
      Math.min(each, (before as Record<string, number>)[key] ?? 0),
    );
    expect(serving.reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(4);
  });
});

test("what a budget pays for has the base on demand in it, and the spare of spot", () => {
  const paid = (budget: number): number => workersPaid(KIND, budget, 100, offers, SPOT_RULES);
  // One on demand costs 0.978 USD an hour, whatever spot costs beside it.
  expect([paid(500_000), paid(977_999), paid(978_000), paid(1_300_000)]).toEqual([0, 0, 1, 1]);
  expect(paid(1_400_000)).toBe(2);
  expect(paid(1e12)).toBe(100);
  expect(workersPaid(KIND, 2_000_000, 100, offers, undefined)).toBe(2);
});
