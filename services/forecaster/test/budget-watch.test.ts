/** The month's budget: an event when it becomes worse, from all that was booked by anybody. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { type BudgetEvent, fault, type LedgerEntry, type LoadFact } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { expect, test } from "vitest";
import { BudgetWatch } from "../src/budget-watch.ts";

const MINUTE_US = 60_000_000;
const DAY_US = 1_440 * MINUTE_US;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const MONTH_US = Date.UTC(2026, 3, 1) * 1_000;
/** Of one on-demand worker for an hour. */
const HOUR_MICROS = 978_000;

/** A minute in which `workers` ran, as many as make so many worker hours. */
const hoursAt = (atUs: number, hours: number): LedgerEntry => ({
  v: 1,
  atUs,
  spanUs: MINUTE_US,
  kind: "gpu-l4",
  zone: "us-east-2a",
  lifecycle: "on-demand",
  workerUs: hours * 60 * MINUTE_US,
  crossingBytes: 0,
});

function rig(micros: number, booked: readonly LedgerEntry[] = []) {
  const state = {
    events: [] as BudgetEvent[],
    ledger: ok([...booked]) as Result<LedgerEntry[], ReturnType<typeof fault>>,
    reads: 0,
  };
  const watch = new BudgetWatch({
    micros,
    prices: DEFAULT_PRICE_BOOK,
    ledger: {
      read: async () => {
        state.reads++;
        return state.ledger;
      },
    },
    log: silent,
    raised: (event) => state.events.push(event),
  });
  return { state, watch };
}

test("it is raised when the month will cost more, and again when it has, once each", async () => {
  const { state, watch } = rig(100 * HOUR_MICROS);
  const atUs = MONTH_US + 15 * DAY_US;
  await watch.look(1, atUs);
  expect(state.events).toEqual([]);
  watch.booked(hoursAt(MONTH_US, 30));
  watch.booked(hoursAt(atUs, 30));
  await watch.look(1, atUs);
  await watch.look(1, atUs);
  expect(state.events).toMatchObject([
    { level: "projected", spentMicros: 60 * HOUR_MICROS, projectedMicros: 120 * HOUR_MICROS },
  ]);
  watch.booked(hoursAt(atUs + MINUTE_US, 41));
  await watch.look(1, atUs + MINUTE_US);
  await watch.look(1, atUs + DAY_US);
  expect(state.events.map(({ level }) => level)).toEqual(["projected", "exceeded"]);
});

test("what another holder of the lease booked counts, and an entry counts once", async () => {
  const atUs = MONTH_US + 15 * DAY_US;
  const before = hoursAt(MONTH_US, 60);
  const { state, watch } = rig(100 * HOUR_MICROS, [before, hoursAt(MONTH_US - DAY_US, 500)]);
  watch.booked(before);
  await watch.look(1, atUs);
  await watch.look(2, atUs);
  expect(state.reads).toBe(2);
  expect(state.events).toMatchObject([{ level: "projected", spentMicros: 60 * HOUR_MICROS }]);
});

test("parts of one minute add up, each once", async () => {
  const atUs = MONTH_US + 15 * DAY_US;
  const one = { ...hoursAt(atUs, 60), epoch: 1, part: 0 };
  const other = { ...hoursAt(atUs, 60), epoch: 2, part: 0 };
  const { state, watch } = rig(100 * HOUR_MICROS, [one, other]);
  watch.booked(one);
  await watch.look(1, atUs);
  expect(state.events).toMatchObject([{ level: "exceeded", spentMicros: 120 * HOUR_MICROS }]);
});

test("a look by a clock that is months ahead erases nothing of the month", async () => {
  const atUs = MONTH_US + 15 * DAY_US;
  const { state, watch } = rig(100 * HOUR_MICROS);
  await watch.look(1, atUs);
  watch.booked(hoursAt(atUs, 60));
  await watch.look(1, atUs + 60 * DAY_US);
  watch.booked(hoursAt(atUs + MINUTE_US, 60));
  await watch.look(1, atUs + MINUTE_US);
  expect(state.events).toMatchObject([{ level: "exceeded", spentMicros: 120 * HOUR_MICROS }]);
});

test("a ledger that cannot be read is no ledger without entries: it is read again", async () => {
  const atUs = MONTH_US + 15 * DAY_US;
  const { state, watch } = rig(HOUR_MICROS);
  state.ledger = fail(fault("DISCONNECTED", "no storage"));
  watch.booked(hoursAt(atUs, 2));
  await watch.look(1, atUs);
  expect(state.events).toEqual([]);
  state.ledger = ok([]);
  await watch.look(1, atUs);
  expect(state.events).toMatchObject([{ level: "exceeded" }]);
});

test("bytes across zones are spent, too; and a new month begins with nothing spent", async () => {
  const { state, watch } = rig(20_000);
  const fact = { atUs: MONTH_US, crossingBytes: 2_000_000_000 } as LoadFact;
  watch.counted(fact);
  await watch.look(1, MONTH_US + DAY_US);
  expect(state.events).toMatchObject([{ level: "exceeded", spentMicros: 40_000 }]);
  await watch.look(1, MONTH_US + 31 * DAY_US);
  expect(state.events).toHaveLength(1);
});
