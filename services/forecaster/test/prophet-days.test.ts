/** Prophet's days: which are asked for, that each is fitted once, and what a failure does. */

import { fault, type Fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { expect, test } from "vitest";
import { ProphetDays, type ProphetPart } from "../src/prophet-days.ts";

const HOUR_US = 3_600_000_000;
const DAY_US = 24 * HOUR_US;
const STEP_US = 300_000_000;

const history = (hours: number) => ({
  startUs: 100 * DAY_US,
  stepUs: STEP_US,
  values: Array.from({ length: 12 * hours }, (_, at) => 10 + (at % 12)),
});

interface Order {
  readonly startS: number;
  readonly values: readonly number[];
}

/** Repeats the last hour, and remembers what it was asked. */
function rig(part: ProphetPart, answer?: Result<number[], Fault>) {
  const orders: Order[] = [];
  const forecast = (order: Order): Promise<Result<number[], Fault>> => {
    orders.push(order);
    const last = order.values.at(-1) ?? 0;
    return Promise.resolve(answer ?? ok(Array.from({ length: 24 }, () => last)));
  };
  return { orders, days: new ProphetDays({ forecast }, part) };
}

const { signal } = new AbortController();

test("to compare, the day ahead is fitted on whole hours that end with the history", async () => {
  const { days, orders } = rig("compare");
  // Twenty minutes into an hour.
  const series = { ...history(72), values: history(72).values.slice(0, -8) };
  const made = await days.of("digits", series, signal);
  const endUs = series.startUs + series.values.length * STEP_US;
  expect(made).toMatchObject({ ok: true, value: [{ originUs: endUs }] });
  expect(orders).toHaveLength(1);
  expect(orders[0]?.values).toHaveLength(71);
  expect((orders[0]?.startS ?? 0) * 1e6 + 71 * HOUR_US).toBe(endUs);
  expect(orders[0]?.values.every((value) => value === 186)).toBe(true);
});

test("as a member it is asked for the days before as well, and for each once", async () => {
  const { days, orders } = rig("member");
  const made = await days.of("digits", history(24 * 20), signal);
  expect(made.ok ? made.value.length : 0).toBe(15);
  expect(orders).toHaveLength(15);
  await days.of("digits", history(24 * 20), signal);
  expect(orders).toHaveLength(15);
  await days.of("digits", history(24 * 21), signal);
  expect(orders).toHaveLength(16);
  await days.of("spam", history(24 * 4), signal);
  expect(orders).toHaveLength(19);
});

test("less than two days are not fitted", async () => {
  const { days, orders } = rig("member");
  expect(await days.of("digits", history(47), signal)).toEqual(ok([]));
  expect(orders).toHaveLength(0);
});

test("what Prophet says of the day ahead is handed on", async () => {
  const { days } = rig("compare", fail(fault("EXECUTION_FAILED", "no fit")));
  expect(await days.of("digits", history(72), signal)).toMatchObject({ ok: false });
});
