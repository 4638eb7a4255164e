/** From the cluster's records to the ledger: nothing is lost, doubled or free. */

import type { LedgerEntry, LoadFact } from "@millrace/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bookEntries,
  bookPeriod,
  DEFAULT_PRICE_BOOK,
  ledgerOf,
  staticBaseline,
  unpricedWorkers,
  utilisationOf,
} from "../src/index.ts";

const MINUTE_US = 60_000_000;
const HOUR_US = 3_600_000_000;

const minute = (change: Partial<LedgerEntry> = {}): LedgerEntry => ({
  v: 1,
  atUs: 0,
  spanUs: MINUTE_US,
  kind: "gpu-l4",
  zone: "us-east-2a",
  lifecycle: "on-demand",
  workerUs: MINUTE_US,
  crossingBytes: 0,
  ...change,
});

const fact = (change: Partial<LoadFact> = {}): LoadFact => ({
  v: 1,
  model: "digits",
  priority: "standard",
  source: "ingress-1",
  tenant: "key-1",
  atUs: 0,
  spanUs: MINUTE_US,
  arrivals: 10,
  served: 9,
  refused: 1,
  failed: 0,
  rows: 10,
  inputTokens: 3,
  outputTokens: 4,
  inputBytes: 100,
  outputBytes: 50,
  queueUs: 1_000,
  computeUs: 5_000,
  crossingBytes: 70,
  ...change,
});

test("requests, tokens, bytes and device time are each counted once, over any kinds", () => {
  const workers = fc.record({
    atUs: fc.nat(120).map((at) => at * MINUTE_US),
    kind: fc.constantFrom("gpu-l4", "cpu-16"),
    workerUs: fc.nat(10 * MINUTE_US),
  });
  const facts = fc.record({
    atUs: fc.nat(120).map((at) => at * MINUTE_US),
    tenant: fc.constantFrom("key-1", "key-2"),
    served: fc.nat(1_000),
    computeUs: fc.nat(MINUTE_US),
  });
  fc.assert(
    fc.property(fc.array(workers), fc.array(facts), (minutes, loads) => {
      const load = loads.map(fact);
      const { charges, places, micros } = bookEntries(
        ledgerOf(minutes.map(minute), load),
        DEFAULT_PRICE_BOOK,
      );
      const sum = (values: readonly number[]): number =>
        values.reduce((all, each) => all + each, 0);
      expect(sum(charges.map(({ requests }) => requests))).toBe(sum(load.map((l) => l.served)));
      expect(sum(charges.map(({ tokens }) => tokens))).toBe(7 * load.length);
      expect(sum(charges.map(({ bytesAcrossZones }) => bytesAcrossZones))).toBe(70 * load.length);
      // Without worker time there is nothing to lay it on, and it weighs nothing.
      const timed = load.filter(({ atUs }) =>
        minutes.some((one) => Math.floor(one.atUs / HOUR_US) === Math.floor(atUs / HOUR_US)),
      );
      const device = sum(charges.map(({ deviceUs }) => deviceUs));
      expect(device).toBeGreaterThanOrEqual(0);
      expect(device).toBeLessThanOrEqual(sum(load.map((l) => l.computeUs)));
      if (timed.length === load.length && minutes.every(({ workerUs }) => workerUs >= 1_000)) {
        expect(device).toBe(sum(load.map((l) => l.computeUs)));
      }
      expect(micros).toBe(sum(charges.map((charge) => charge.micros)));
      expect(sum(places.map(({ workerMs }) => workerMs))).toBe(
        sum(minutes.map(({ workerUs }) => Math.round(workerUs / 1_000))),
      );
    }),
  );
});

test("use is laid on the kinds of its hour as their worker time is", () => {
  const entries = ledgerOf(
    [minute(), minute({ kind: "cpu-16", workerUs: 3 * MINUTE_US })],
    [fact({ atUs: 30 * MINUTE_US, computeUs: 4_000 })],
  );
  const use = entries.flatMap((entry) =>
    entry.type === "usage" ? [[entry.kind, entry.deviceUs, entry.requests]] : [],
  );
  expect(use).toEqual([
    ["gpu-l4", 1_000, 9],
    ["cpu-16", 3_000, 0],
  ]);
});

test("what a worker is known to have answered is the use of its kind alone", () => {
  const entries = ledgerOf(
    [minute(), minute({ kind: "cpu-16" })],
    [fact({ kind: "cpu-16" }), fact({ kind: "gpu-unpaid" })],
  );
  const uses = entries.flatMap((entry) =>
    entry.type === "usage" ? [[entry.kind, entry.deviceUs, entry.requests]] : [],
  );
  expect(uses).toEqual([
    ["cpu-16", 5_000, 9],
    ["-", 5_000, 9],
  ]);
});

test("models that were fetched from another zone are paid for by no client", () => {
  const gb = 10 ** 9;
  const booked = bookEntries(ledgerOf([minute({ crossingBytes: gb })], []), DEFAULT_PRICE_BOOK);
  expect(booked.crossingMicros).toBe(DEFAULT_PRICE_BOOK.crossingMicrosPerGb);
  expect(booked.charges.find(({ model }) => model === "(fetches)")).toMatchObject({
    bytesAcrossZones: gb,
    micros: DEFAULT_PRICE_BOOK.crossingMicrosPerGb,
  });
});

test("requests that were refused are nobody's use", () => {
  expect(ledgerOf([], [fact({ served: 0, computeUs: 0, crossingBytes: 0 })])).toEqual([]);
});

test("workers that the book does not price are named, with their time", () => {
  const workers = [minute(), minute({ kind: "gpu-x" }), minute({ kind: "gpu-x", atUs: MINUTE_US })];
  expect(unpricedWorkers(workers, DEFAULT_PRICE_BOOK)).toEqual([
    { kind: "gpu-x", zone: "us-east-2a", lifecycle: "on-demand", workerMs: 120_000 },
  ]);
});

test("of workers without a price what they fetched is paid for, and their time is not", () => {
  const gb = 10 ** 9;
  const workers = [minute(), minute({ kind: "gpu-x", crossingBytes: gb })];
  const { booked, priced, unpriced } = bookPeriod(workers, [fact()], DEFAULT_PRICE_BOOK);
  const { micros } = bookEntries(ledgerOf([minute()], [fact()]), DEFAULT_PRICE_BOOK);
  expect(booked.micros).toBe(micros + DEFAULT_PRICE_BOOK.crossingMicrosPerGb);
  expect(booked.refused).toEqual([]);
  expect(priced).toEqual([minute()]);
  expect(unpriced).toMatchObject([{ kind: "gpu-x", workerMs: 60_000 }]);
});

test("the use of paid time is what ran of it, and unknown where nothing was paid", () => {
  expect(utilisationOf([minute()], [fact({ computeUs: 15_000_000 })])).toBe(0.25);
  expect(utilisationOf([], [fact()])).toBeUndefined();
});

test("the static fleet serves the P99.9 minute, and one in two thousand may be worse", () => {
  const workers = Array.from({ length: 2_000 }, (_, at) =>
    minute({ atUs: at * MINUTE_US, workerUs: 100 * MINUTE_US }),
  );
  const load = workers.map(({ atUs }, at) =>
    fact({ atUs, computeUs: at === 7 ? 50 * MINUTE_US : 4 * MINUTE_US }),
  );
  const peak = staticBaseline("static-peak", workers, load, DEFAULT_PRICE_BOOK);
  expect(peak).toEqual({ name: "static-peak", kind: "gpu-l4", workers: 5 });
  const headroom = staticBaseline("static-headroom", workers, load, DEFAULT_PRICE_BOOK);
  expect(headroom?.workers).toBe(8);
});

test("answers of one minute that were more than its workers could do ran before it", () => {
  const workers = Array.from({ length: 4 }, (_, at) =>
    minute({ atUs: at * MINUTE_US, workerUs: 2 * MINUTE_US }),
  );
  const late = [fact({ atUs: 3 * MINUTE_US, computeUs: 4.5 * MINUTE_US })];
  const spread = staticBaseline("static-peak", workers, late, DEFAULT_PRICE_BOOK);
  expect(spread?.workers).toBe(Math.ceil(2 / 0.9));
  // Nobody was there in between, and nothing is said of the time before.
  const apart = workers.filter(({ atUs }) => atUs !== 2 * MINUTE_US);
  expect(staticBaseline("static-peak", apart, late, DEFAULT_PRICE_BOOK)?.workers).toBe(3);
  const early = [fact({ atUs: 2 * MINUTE_US, computeUs: 9 * MINUTE_US })];
  expect(staticBaseline("static-peak", apart, early, DEFAULT_PRICE_BOOK)?.workers).toBe(1);
});

test("nothing is compared where no worker that ran has an on-demand price", () => {
  const odd = [minute({ kind: "gpu-x" })];
  expect(staticBaseline("static-peak", odd, [fact()], DEFAULT_PRICE_BOOK)).toBeUndefined();
});
