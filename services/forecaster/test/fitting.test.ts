/** The fitting thread: one answer for each question, and a new thread where one ended. */

import { expect, test } from "vitest";
import { Fitting } from "../src/fitting.ts";

const HOUR_US = 3_600_000_000;

/** A day with a peak, for so many days. */
const history = (days: number) => ({
  startUs: 0,
  stepUs: HOUR_US,
  values: Array.from(
    { length: 24 * days },
    (_, hour) => 100 + 80 * Math.sin((hour * Math.PI) / 12),
  ),
});

test("several fits are answered by one thread, each with its own forecast", async () => {
  await using fitting = new Fitting();
  const [short, long] = await Promise.all([
    fitting.fit(history(10), {}),
    fitting.fit(history(12), {}),
  ]);
  expect(short.forecast.startUs).toBe(240 * HOUR_US);
  expect(long.forecast.startUs).toBe(288 * HOUR_US);
  const again = await fitting.fit(history(10), {});
  expect(again.forecast).toEqual(short.forecast);
  expect(again.fitUs).toBeGreaterThan(0);
});

test("a fit that is under way when it is closed is rejected", async () => {
  const fitting = new Fitting();
  const outcome = fitting.fit(history(30), {}).then(
    () => "fitted",
    (error: Error) => error.message,
  );
  await new Promise((done) => setTimeout(done, 0));
  await fitting[Symbol.asyncDispose]();
  expect(await outcome).toBe("the fitting thread ended");
});
