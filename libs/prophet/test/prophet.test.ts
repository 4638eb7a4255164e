/** Prophet in its thread: it finds a season, survives replacement, and says when it cannot. */

import { expect, test } from "vitest";
import { type FitOrder, ProphetThread } from "../src/index.ts";

const wave = (hour: number): number => 100 + 60 * Math.sin((2 * Math.PI * hour) / 24);
const order = (mode: FitOrder["mode"]): FitOrder => ({
  startS: 1_767_571_200,
  stepS: 3600,
  values: Array.from({ length: 240 }, (_, hour) => wave(hour)),
  horizon: 24,
  mode,
});

test.each(["multiplicative", "log"] as const)("finds a day's season (%s)", async (mode) => {
  await using prophet = new ProphetThread();
  const answer = await prophet.forecast(order(mode));
  const missed = answer.ok
    ? answer.value.map((value, hour) => Math.abs(value - wave(240 + hour)))
    : [Number.NaN];
  expect(missed).toHaveLength(24);
  expect(Math.max(...missed)).toBeLessThan(20);
});

test.each([0, 7])("a load that is always %d is expected to stay so", async (value) => {
  await using prophet = new ProphetThread();
  const values = Array.from({ length: 240 }, () => value);
  const answer = await prophet.forecast({ ...order("multiplicative"), values });
  expect(answer).toEqual({ ok: true, value: Array.from({ length: 24 }, () => value) });
});

test("goes on with a new thread after its share of fits, with the same answers", async () => {
  await using prophet = new ProphetThread({ fitsMax: 1 });
  const [one, two] = await Promise.all([
    prophet.forecast(order("log")),
    prophet.forecast(order("log")),
  ]);
  expect(one.ok).toBe(true);
  expect(two).toEqual(one);
});

test("a history that nothing can be fitted to is a fault, and the next fit is made", async () => {
  await using prophet = new ProphetThread();
  const none = await prophet.forecast({ ...order("log"), values: [] });
  expect(none).toMatchObject({ ok: false, error: { code: "EXECUTION_FAILED" } });
  // The optimiser's own stack is left out of the reason.
  const two = await prophet.forecast({ ...order("multiplicative"), values: [5, 6] });
  expect(two.ok ? "" : two.error.message).toMatch(/^Prophet: Optimization failed.{1,160}$/);
  expect((await prophet.forecast(order("log"))).ok).toBe(true);
});

test("a fit that takes too long is given up", async () => {
  await using prophet = new ProphetThread({ timeoutMs: 1 });
  const late = await prophet.forecast(order("log"));
  expect(late).toMatchObject({ ok: false, error: { message: "Prophet: no fit within 1 ms" } });
});
