/** Facts become series: what was counted, what was nothing, and what is not known. */

import type { LoadFact } from "@millrace/protocol";
import { expect, test } from "vitest";
import { LoadHistory } from "../src/index.ts";

const MINUTE_US = 60_000_000;
const STEP_US = 5 * MINUTE_US;

const fact = (model: string, minute: number, arrivals: number, rows = arrivals): LoadFact => ({
  v: 1,
  model,
  priority: "standard",
  source: "ingress-1",
  atUs: minute * MINUTE_US,
  spanUs: MINUTE_US,
  arrivals,
  served: arrivals,
  refused: 0,
  failed: 0,
  rows,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 0,
  outputBytes: 0,
  queueUs: 0,
  computeUs: 0,
  crossingBytes: 0,
});

test("minutes of all sources are added up; a step with nobody to count is missing", () => {
  const history = new LoadHistory();
  history.add(fact("a", 0, 10, 40));
  history.add(fact("a", 3, 5, 20));
  history.add(fact("b", 7, 8));
  history.alive(3 * STEP_US + 1);
  history.add(fact("a", 21, 6, 24));
  const a = history.of("a", 5 * STEP_US + 90_000_000);
  expect(a?.series).toEqual({ startUs: 0, stepUs: STEP_US, values: [15, 0, Number.NaN, 0, 6] });
  expect(a?.rowsPerRequest).toBe(4);
  expect(a?.mostPerSecond).toBe(15 / 300);
  expect(a?.lastPerSecond).toBe(3 / 300);
  // Before its first request it was not idle: it was not there.
  const b = history.of("b", 5 * STEP_US + 90_000_000);
  expect(b?.series).toEqual({ startUs: STEP_US, stepUs: STEP_US, values: [8, Number.NaN, 0, 0] });
});

test("a step counts once it is over and settled", () => {
  const history = new LoadHistory();
  history.add(fact("a", 0, 10));
  expect(history.of("a", STEP_US + 89_000_000)).toBeUndefined();
  expect(history.of("a", STEP_US + 90_000_000)?.series.values).toEqual([10]);
  expect(history.of("c", 2 * STEP_US)).toBeUndefined();
});

test("what is before the last six weeks that were counted is forgotten", () => {
  const history = new LoadHistory();
  const later = 43 * 1440;
  history.add(fact("a", 0, 10));
  history.add(fact("a", later, 20));
  history.add(fact("gone", 1, 10));
  for (let minute = 0; minute <= later; minute += 5) history.alive(minute * MINUTE_US);
  history.forget();
  expect(history.models).toEqual(["a"]);
  const { series } = history.of("a", (later + 7) * MINUTE_US) ?? {};
  expect(series?.values).toHaveLength(42 * 288);
  expect(series?.values.at(-1)).toBe(20);
  expect(series?.values.filter((value) => value === 10)).toEqual([]);
});

test("a look by a clock that is ahead erases nothing, and a model of long ago has no load", () => {
  const history = new LoadHistory();
  for (let minute = 0; minute < 1440; minute += 5) history.add(fact("a", minute, 10));
  const before = history.of("a", 1442 * MINUTE_US)?.series.values;
  const ahead = 60 * 1440 * MINUTE_US;
  history.alive(ahead);
  history.forget();
  expect(history.of("a", ahead)).toBeUndefined();
  expect(history.models).toEqual(["a"]);
  expect(history.of("a", 1442 * MINUTE_US)?.series.values).toEqual(before);
  expect(before).toHaveLength(288);
});

test("urgent and batch load are told apart; of batch counts what was served", () => {
  const history = new LoadHistory();
  history.add(fact("a", 0, 10, 40));
  history.add({ ...fact("a", 1, 8, 16), priority: "batch", served: 3, refused: 5 });
  const of = (part: "all" | "urgent" | "batch") => history.of("a", STEP_US + 90_000_000, part);
  expect(of("all")?.series.values).toEqual([18]);
  expect(of("urgent")).toMatchObject({ series: { values: [10] }, rowsPerRequest: 4 });
  expect(of("batch")).toMatchObject({ series: { values: [3] }, rowsPerRequest: 2 });
});
