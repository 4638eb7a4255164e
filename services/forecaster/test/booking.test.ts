/** What ran is booked: all of it, to the minute it ran in, and nothing that nobody saw. */

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
      await booking.book([POOL], nowUs);
      let there = 0;
      for (const { us, workers } of looks) {
        nowUs += us;
        there += workers * us;
        await booking.book(
          Array.from({ length: workers }, () => POOL),
          nowUs,
        );
      }
      // The minute that has begun is written when it is over.
      const endUs = (Math.floor(nowUs / MINUTE_US) + 1) * MINUTE_US;
      await booking.book([], endUs);
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
  await booking.book([], 10 * MINUTE_US);
  await booking.book([POOL, POOL, SPOT], 12 * MINUTE_US);
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
  await booking.book([POOL], 10 * MINUTE_US);
  await booking.book([POOL], 25 * MINUTE_US);
  await booking.book([POOL], 24 * MINUTE_US);
  await booking.book([POOL], 24 * MINUTE_US);
  expect(state.entries).toEqual([]);
  await booking.book([POOL], 25 * MINUTE_US);
  expect(state.entries.map(({ atUs }) => atUs)).toEqual([24 * MINUTE_US]);
});

test("what the storage does not take is written when it does, once and in order", async () => {
  const { booking, state } = rig();
  await booking.book([], 0 + MINUTE_US);
  state.works = false;
  await booking.book([POOL], 3 * MINUTE_US);
  expect(state.entries).toEqual([]);
  expect(state.told).toEqual([]);
  state.works = true;
  await booking.book([POOL], 4 * MINUTE_US);
  expect(state.entries.map(({ atUs }) => atUs / MINUTE_US)).toEqual([1, 2, 3]);
});

test("bytes across zones are in the minute that they are told in, and once", async () => {
  const { booking, state } = rig();
  await booking.book([POOL], 10 * MINUTE_US);
  booking.crossed(POOL, 700);
  booking.crossed(POOL, 300);
  await booking.book([POOL], 11 * MINUTE_US);
  await booking.book([POOL], 12 * MINUTE_US);
  expect(state.entries.map(({ crossingBytes }) => crossingBytes)).toEqual([1_000, 0]);
});
