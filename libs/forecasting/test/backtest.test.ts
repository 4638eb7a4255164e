/** The backtest: who wins on what is known to be so, and what it asks of a trace. */

import { cutSeries, DAY_US, type Series } from "@millrace/load-facts";
import { expect, test } from "vitest";
import { backtest, type Backtest, backtestOrigins, geometricMean, METHODS } from "../src/index.ts";
import { daily, draw, START_US, weekly } from "./series.ts";

const drawNoisy = (seed: number): Series =>
  draw({
    days: 30,
    stepMinutes: 30,
    perHour: (t) => 700 * daily(t) * weekly(t),
    noise: 0.15,
    seed,
  });
const noisy = drawNoisy(1);

function tested(...words: Parameters<typeof backtest>): Backtest {
  const result = backtest(...words);
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

test("the ensemble beats the naive methods on seasons under noise, and keeps its quantile", () => {
  const tests = [1, 2, 3].map((seed) => tested(drawNoisy(seed), METHODS));
  expect(tests.map(({ days, baseline }) => [days, baseline])).toEqual(
    tests.map(() => [15, "naive-168"]),
  );
  const mean = geometricMean(tests);
  const of = (name: string) => mean.find(({ method }) => method === name);
  expect(of("naive-168")?.ratioToLastWeek).toBe(1);
  expect(of("ensemble")?.ratioToLastWeek).toBeLessThan(0.85);
  expect(of("ensemble")?.wape).toBeLessThan(of("naive-24")?.wape ?? 0);
  expect(of("ensemble")?.coverage95).toBeGreaterThan(0.88);
  expect(of("ensemble")?.coverage95).toBeLessThan(0.99);
});

test("a supplied method that knows the truth misses nothing", () => {
  const plan = backtestOrigins(noisy);
  if (!plan.ok) throw new Error(plan.error);
  const truth = plan.value.origins.map((originUs) => {
    const { values } = cutSeries(noisy, originUs, originUs + DAY_US);
    return Array.from({ length: 24 }, (_, at) => (values[2 * at] ?? 0) + (values[2 * at + 1] ?? 0));
  });
  const { rows } = tested(noisy, [], { supplied: { truth } });
  expect(rows[0]?.method).toBe("truth");
  expect(rows[0]?.wape).toBeLessThan(1e-9);
});

test("days that a supplied method failed on count as the baseline's, and are counted", () => {
  const days = Array.from({ length: 15 }, () => undefined);
  const result = tested(noisy, METHODS, { supplied: { broken: days } });
  const of = (name: string) => result.rows.find(({ method }) => method === name);
  expect(of("broken")).toMatchObject({ wape: of("naive-168")?.wape, failedDays: 15 });
  expect(of("naive-168")).not.toHaveProperty("failedDays");
  const mean = geometricMean([result, result]);
  expect(mean.find(({ method }) => method === "broken")?.failedDays).toBe(30);
});

test("a load that last week foretells has a ratio: a hundredth of a per cent is no error", () => {
  const values = Array.from({ length: 24 * 24 }, (_, hour) => 100 + (hour % 24));
  const series = { startUs: START_US, stepUs: 3_600_000_000, values };
  const zero = Array.from({ length: 9 }, () => Array.from({ length: 24 }, () => 0));
  const { rows } = tested(series, METHODS, { supplied: { zero } });
  for (const { method, ratioToLastWeek } of rows) {
    if (method === "zero") expect(ratioToLastWeek).toBe(1 / 0.0001);
    else expect(ratioToLastWeek).toBe(1);
  }
});

test.each([
  [3, "a backtest needs 4 days"],
  [0.5, "spans 12.0 hours"],
])("%d days are refused, with what is needed", (days, reason) => {
  const result = backtest(cutSeries(noisy, 0, START_US + days * DAY_US), METHODS);
  expect(result.ok ? "" : result.error).toContain(reason);
});

test("a trace without last week is held against yesterday", () => {
  const { baseline, days } = tested(cutSeries(noisy, 0, START_US + 6 * DAY_US), METHODS);
  expect([baseline, days]).toEqual(["naive-24", 4]);
});

test("days of which nothing was counted are left out, and counted as such", () => {
  const values = noisy.values.map((value, at) =>
    at >= 20 * 48 && at < 23.5 * 48 ? Number.NaN : value,
  );
  const { days, skippedDays } = tested({ ...noisy, values }, METHODS);
  expect([days, skippedDays]).toEqual([12, 3]);
  expect(tested(noisy, METHODS).skippedDays).toBe(0);
});

test("the geometric mean is over the traces, method by method", () => {
  const one = tested(noisy, METHODS);
  const half = { ...one, rows: one.rows.map((row) => ({ ...row, ratioToLastWeek: 0.25 })) };
  const mean = geometricMean([one, half]);
  expect(mean.map(({ method }) => method)).toEqual(METHODS.map(({ name }) => name));
  const ensemble = one.rows[0]?.ratioToLastWeek ?? 0;
  expect(mean[0]?.ratioToLastWeek).toBeCloseTo(Math.sqrt(ensemble * 0.25));
});
