/** What ran is booked: all of it, to the minute it ran in, and nothing that nobody saw. */

import { ledgerKey } from "@millrace/history";
import { fault, type LedgerEntry } from "@millrace/protocol";
import { fail, ok } from "@millrace/std";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type BookedPool, Booking } from "../src/booking.ts";

const MINUTE_US = 60_000_000;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const POOL: BookedPool = { kind: "gpu-l4", zone: "east", lifecycle: "on-demand" };
const SPOT: BookedPool = { ...POOL, lifecycle: "spot" };

function rig() {
  const state = { entries: [] as LedgerEntry[], told: [] as LedgerEntry[], works: true };
  const booking = new Booking({
    ledger: {
      append: async (entry) => {
        if (!state.works) return fail(fault("DISCONNECTED", "no storage"));
        state.entries.push(entry);
        return ok(undefined);
      },
    },
    log: silent,
    written: (entry) => state.told.push(entry),
  });
  return { booking, state };
}

const sum = (entries: readonly LedgerEntry[]): number =>
  entries.reduce((total, { workerUs }) => total + workerUs, 0);

test("whole minutes hold all the time that workers were there, at any pace", async () => {
  const steps = fc.array(
    fc.record({ us: fc.integer({ min: 1, max: 3 * MINUTE_US }), workers: fc.nat(4) }),
    {
      maxLength: 60,
    },
  );
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(MINUTE_US), async (looks, phaseUs) => {
      const { booking, state } = rig();
      let nowUs = 1_000 * MINUTE_US + phaseUs;
      await booking.book([POOL], nowUs, 1);
      let there = 0;
      for (const { us, workers } of looks) {
        nowUs += us;
        there += workers * us;
        await booking.book(
          Array.from({ length: workers }, () => POOL),
          nowUs,
          1,
        );
      }
      // The minute that has begun is written when it is over.
      const endUs = (Math.floor(nowUs / MINUTE_US) + 1) * MINUTE_US;
      await booking.book([], endUs, 1);
      expect(sum(state.entries)).toBe(there);
      expect(state.told).toEqual(state.entries);
      const minutes = state.entries.map(({ atUs }) => atUs);
      expect(new Set(minutes).size).toBe(minutes.length);
      for (const atUs of minutes) expect(atUs % MINUTE_US).toBe(0);
    }),
  );
});

test("pools are booked apart, each minute under its own start", async () => {
  const { booking, state } = rig();
  await booking.book([], 10 * MINUTE_US, 1);
  await booking.book([POOL, POOL, SPOT], 12 * MINUTE_US, 1);
  expect(
    state.entries.map(({ atUs, lifecycle, workerUs }) => [
      atUs / MINUTE_US,
      lifecycle,
      workerUs / MINUTE_US,
    ]),
  ).toEqual([
    [10, "on-demand", 2],
    [10, "spot", 1],
    [11, "on-demand", 2],
    [11, "spot", 1],
  ]);
});

test("nothing is booked of a pause, nor of a clock that goes back", async () => {
  const { booking, state } = rig();
  await booking.book([POOL], 10 * MINUTE_US, 1);
  await booking.book([POOL], 25 * MINUTE_US, 1);
  await booking.book([POOL], 24 * MINUTE_US, 1);
  await booking.book([POOL], 24 * MINUTE_US, 1);
  expect(state.entries).toEqual([]);
  await booking.book([POOL], 25 * MINUTE_US, 1);
  expect(state.entries.map(({ atUs }) => atUs)).toEqual([24 * MINUTE_US]);
});

test("what the storage does not take is written when it does, once and in order", async () => {
  const { booking, state } = rig();
  await booking.book([], 0 + MINUTE_US, 1);
  state.works = false;
  await booking.book([POOL], 3 * MINUTE_US, 1);
  expect(state.entries).toEqual([]);
  expect(state.told).toEqual([]);
  state.works = true;
  await booking.book([POOL], 4 * MINUTE_US, 1);
  expect(state.entries.map(({ atUs }) => atUs / MINUTE_US)).toEqual([1, 2, 3]);
});

test("bytes across zones are in the minute that they are told in, and once", async () => {
  const { booking, state } = rig();
  await booking.book([POOL], 10 * MINUTE_US, 1);
  booking.crossed(POOL, 700);
  booking.crossed(POOL, 300);
  await booking.book([POOL], 11 * MINUTE_US, 1);
  await booking.book([POOL], 12 * MINUTE_US, 1);
  expect(state.entries.map(({ crossingBytes }) => crossingBytes)).toEqual([1_000, 0]);
});

const SECOND_US = 1_000_000;

/** Forecasters over one ledger, which keeps the first entry of every key. */
function shared() {
  const kept = new Map<string, LedgerEntry>();
  const state = { isAnswering: true };
  const forecaster = (): Booking =>
    new Booking({
      ledger: {
        append: async (entry) => {
          const key = ledgerKey(entry);
          if (!kept.has(key)) kept.set(key, entry);
          return state.isAnswering ? ok(undefined) : fail(fault("DISCONNECTED", "no answer"));
        },
      },
      log: silent,
    });
  /** One worker, seen every five seconds; times in seconds. */
  const see = async (booking: Booking, from: number, to: number, epoch: number): Promise<void> => {
    for (let at = from; at <= to; at += 5) await booking.book([POOL], at * SECOND_US, epoch);
  };
  const byMinute = (): number[] => {
    const sums = new Map<number, number>();
    for (const { atUs, workerUs } of kept.values()) {
      sums.set(atUs, (sums.get(atUs) ?? 0) + workerUs / SECOND_US);
    }
    return [...sums].sort(([a], [b]) => a - b).map(([, seconds]) => seconds);
  };
  return { byMinute, forecaster, see, state };
}

test("what two forecasters book of one minute adds up", async () => {
  const { byMinute, forecaster, see } = shared();
  const one = forecaster();
  await see(one, 600, 650, 1);
  await one.end();
  const two = forecaster();
  await see(two, 655, 720, 2);
  expect(byMinute()).toEqual([55, 60]);
});

test("a lease that comes back within the minute costs what nobody saw, and no more", async () => {
  const { byMinute, forecaster, see } = shared();
  const one = forecaster();
  await see(one, 600, 610, 1);
  await one.end();
  await one.end();
  await see(forecaster(), 615, 635, 2).then(() => see(one, 640, 660, 3));
  expect(byMinute()).toEqual([10 + 20]);
});

test("the same epoch's parts of a minute add up, too", async () => {
  const { byMinute, forecaster, see } = shared();
  const one = forecaster();
  await see(one, 600, 610, 1);
  await one.end();
  await see(one, 615, 660, 1);
  expect(byMinute()).toEqual([10 + 45]);
});

test("what was begun before the lease was away for long stays in its own minute", async () => {
  const { byMinute, forecaster, see } = shared();
  const one = forecaster();
  await see(one, 600, 650, 1);
  const two = forecaster();
  await see(two, 655, 1_515, 2);
  await two.end();
  await see(one, 1_520, 1_560, 3);
  expect(Math.max(...byMinute())).toBe(60);
  expect(byMinute().reduce((all, each) => all + each, 0)).toBe(960 - 2 * 5);
});

test("a pause within one epoch ends the part; the minute after it has its own time", async () => {
  const { byMinute, forecaster, see } = shared();
  const one = forecaster();
  await see(one, 600, 650, 1);
  await see(one, 1_500, 1_560, 1);
  expect(byMinute()).toEqual([50, 60]);
});

test("a part whose acknowledgement was lost is sent again, and is there once", async () => {
  const { byMinute, forecaster, see, state } = shared();
  const one = forecaster();
  await see(one, 600, 650, 1);
  state.isAnswering = false;
  await one.end();
  await one.end();
  state.isAnswering = true;
  await see(one, 655, 660, 2);
  expect(byMinute()).toEqual([50 + 5]);
});
