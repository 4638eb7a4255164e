/** The benchmark's judgement: medians, ratios of pairs, goals, and the two forms of its rows. */

import { describe, expect, test } from "vitest";
import {
  formatRows,
  isMet,
  jsonRows,
  median,
  pairedRow,
  ratioAtLeast,
  ratioAtMost,
  type Row,
  valueAtLeast,
} from "./rows.ts";

const alone: Row = { name: "a", unit: "us", value: 7, floor: undefined, ratio: undefined };

test("the median is the middle value, or the mean of the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBe(0);
});

test("the ratio of a row is the median of its pairs' ratios, not the ratio of medians", () => {
  const row = pairedRow({ name: "a", unit: "req/s" }, [
    { floor: 100, value: 90 },
    { floor: 10, value: 9 },
    { floor: 50, value: 20 },
  ]);
  expect(row).toEqual({ name: "a", unit: "req/s", floor: 50, value: 20, ratio: 0.9 });
});

describe("a goal", () => {
  test.each([
    [ratioAtLeast(0.6), 0.6, true],
    [ratioAtLeast(0.6), 0.59, false],
    [ratioAtMost(2), 2, true],
    [ratioAtMost(2), 2.01, false],
    [ratioAtMost(2), NaN, false],
    [ratioAtMost(2), undefined, false],
  ])("%j at a ratio of %d is met: %s", (goal, ratio, met) => {
    expect(isMet({ ...alone, ratio, goal })).toBe(met);
  });

  test("may be of the value", () => {
    expect(isMet({ ...alone, goal: valueAtLeast(7) })).toBe(true);
    expect(isMet({ ...alone, goal: valueAtLeast(8) })).toBe(false);
  });

  test("that is not there is neither met nor missed", () => {
    expect(isMet(alone)).toBeUndefined();
  });
});

test("the table says whether each goal is met", () => {
  const table = formatRows([{ ...alone, floor: 3_500, ratio: 2.5, goal: ratioAtMost(2) }, alone]);
  expect(table.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["name", "unit", "value", "floor", "ratio", "goal", "met"],
    ["a", "us", "7", "3,500", "2.50", "ratio <= 2", "NO"],
    ["a", "us", "7", "-", "-"],
  ]);
});

test("the JSON has name, unit, value, floor and ratio, null where there is none", () => {
  expect(JSON.parse(jsonRows([{ ...alone, goal: valueAtLeast(1) }]))).toEqual([
    { name: "a", unit: "us", value: 7, floor: null, ratio: null },
  ]);
});
