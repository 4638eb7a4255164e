/** The ledger: every micro-dollar is somebody's, once. */

import { present } from "@millrace/std";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bookEntries,
  decideAlarm,
  DEFAULT_PRICE_BOOK,
  IDLE,
  type LedgerEntry,
  meterCsv,
  meterJsonLines,
  reportCosts,
  splitByWeight,
  type UsageEntry,
  type WorkerEntry,
} from "../src/index.ts";

const HOUR_MS = 3_600_000;
const HOUR_US = 3_600_000_000;

const workers = (change: Partial<WorkerEntry> = {}): WorkerEntry => ({
  type: "workers",
  atUs: 0,
  kind: "gpu-l4",
  zone: "us-east-2a",
  lifecycle: "on-demand",
  workerMs: HOUR_MS,
  bytesAcrossZones: 0,
  ...change,
});

const usage = (change: Partial<UsageEntry> = {}): UsageEntry => ({
  type: "usage",
  atUs: 0,
  kind: "gpu-l4",
  model: "resnet",
  tenant: "acme",
  priority: "realtime",
  key: "k1",
  requests: 100,
  tokens: 0,
  deviceUs: 1_000,
  bytesAcrossZones: 0,
  ...change,
});

const entryOf = fc.oneof(
  fc.record({
    type: fc.constant("workers" as const),
    atUs: fc.nat(3 * HOUR_US),
    kind: fc.constantFrom("gpu-l4", "cpu-16"),
    zone: fc.constantFrom(...DEFAULT_PRICE_BOOK.zones),
    lifecycle: fc.constantFrom("on-demand" as const, "spot" as const),
    workerMs: fc.nat(10 * HOUR_MS),
    bytesAcrossZones: fc.nat(10 ** 10),
  }),
  fc.record({
    type: fc.constant("usage" as const),
    atUs: fc.nat(3 * HOUR_US),
    kind: fc.constantFrom("gpu-l4", "cpu-16"),
    model: fc.constantFrom("a", "b", "c"),
    tenant: fc.constantFrom("x", "y"),
    priority: fc.constantFrom("realtime", "batch"),
    key: fc.constantFrom("k1", "k2", "k3"),
    requests: fc.nat(1_000_000),
    tokens: fc.nat(1_000_000),
    deviceUs: fc.nat(HOUR_US),
    bytesAcrossZones: fc.nat(2 ** 40),
  }),
);

describe("the ledger", () => {
  test("charges exactly what the fleet and the crossings cost, for any entries", () => {
    fc.assert(
      fc.property(fc.array(entryOf, { maxLength: 60 }), (entries: LedgerEntry[]) => {
        const booked = bookEntries(entries, DEFAULT_PRICE_BOOK);
        const places = booked.places.reduce((sum, { micros }) => sum + micros, 0);
        const charged = booked.charges.reduce((sum, { micros }) => sum + micros, 0);
        expect(charged).toBe(places + booked.crossingMicros);
        expect(booked.micros).toBe(charged);
        expect(
          booked.charges.every(({ micros }) => Number.isSafeInteger(micros) && micros >= 0),
        ).toBe(true);
        const report = reportCosts(booked, HOUR_US, DEFAULT_PRICE_BOOK);
        for (const rows of [report.byModel, report.byTenant, report.byPriority]) {
          expect(rows.reduce((sum, { micros }) => sum + micros, 0)).toBe(booked.micros);
        }
        const worked = entries.reduce(
          (sum, entry) => sum + (entry.type === "workers" ? entry.workerMs : 0),
          0,
        );
        expect(booked.places.reduce((sum, { workerMs }) => sum + workerMs, 0)).toBe(worked);
      }),
    );
  });

  test("splits an hour by the device time that each account used in it", () => {
    const { charges } = bookEntries(
      [
        workers(),
        usage({ deviceUs: 3_000 }),
        usage({ deviceUs: 1_000, tenant: "beta", key: "k2" }),
      ],
      DEFAULT_PRICE_BOOK,
    );
    expect(charges.map(({ tenant, micros }) => [tenant, micros])).toEqual([
      ["acme", 733_500],
      ["beta", 244_500],
    ]);
  });

  test("books an hour that nobody used as idle, and one hour's use pays for no other", () => {
    const { charges } = bookEntries(
      [workers(), workers({ atUs: HOUR_US }), usage()],
      DEFAULT_PRICE_BOOK,
    );
    expect(charges.map(({ model, micros }) => [model, micros])).toEqual([
      ["resnet", 978_000],
      [IDLE.model, 978_000],
    ]);
  });

  test("prices bytes that cross zones", () => {
    const booked = bookEntries([usage({ bytesAcrossZones: 2.5e9 })], DEFAULT_PRICE_BOOK);
    expect(booked.crossingMicros).toBe(50_000);
  });

  test.each([
    [workers({ zone: "mars" }), "the price book has no such offer"],
    [workers({ workerMs: -1 }), "workerMs -1: a whole number of at least 0 expected"],
    [workers({ workerMs: 0.5 }), "workerMs 0.5"],
    [usage({ deviceUs: Number.NaN }), "deviceUs NaN"],
  ])("refuses %j", (entry, message) => {
    const booked = bookEntries([entry], DEFAULT_PRICE_BOOK);
    expect(booked.refused.join()).toContain(message);
    expect(booked.micros).toBe(0);
  });
});

describe("a report", () => {
  test("says the cost of 1000 requests and the saving against a baseline", () => {
    const booked = bookEntries([workers(), usage({ requests: 4_000 })], DEFAULT_PRICE_BOOK);
    const report = reportCosts(booked, HOUR_US, DEFAULT_PRICE_BOOK, {
      name: "static",
      kind: "gpu-l4",
      workers: 4,
    });
    expect(report.all.microsPer1000).toBe(244_500);
    expect(report.baseline).toEqual({ name: "static", micros: 3_912_000, savedShare: 0.75 });
  });
});

describe("metering", () => {
  const booked = bookEntries(
    [workers(), usage({ tenant: '=1+"1",x' }), usage({ key: "k2", deviceUs: 2_000 })],
    DEFAULT_PRICE_BOOK,
  );

  test("is CSV that no spreadsheet runs, whose costs sum to the ledger's", () => {
    const [header, ...lines] = meterCsv(booked).trim().split("\n");
    expect(header).toBe(
      "key,tenant,model,priority,requests,tokens,device_us,bytes_across_zones,cost_usd",
    );
    expect(lines[0]).toContain(`"'=1+""1"",x"`);
    const sum = lines.reduce((total, line) => total + Number(line.split(",").at(-1)), 0);
    expect(sum).toBeCloseTo(0.978, 9);
  });

  test("is JSON lines with the same rows", () => {
    const rows = meterJsonLines(booked)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string; cost_usd: string });
    expect(rows.map(({ key, cost_usd }) => [key, cost_usd])).toEqual([
      ["k1", "0.326000"],
      ["k2", "0.652000"],
    ]);
  });
});

test("parts by weight sum to the whole and are within one of their exact share", () => {
  fc.assert(
    fc.property(fc.nat(1e12), fc.array(fc.nat(1e9), { minLength: 1 }), (amount, weights) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      fc.pre(total > 0);
      const parts = splitByWeight(amount, weights);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(amount);
      parts.forEach((part, at) => {
        const exact = (amount * present(weights[at], "a weight")) / total;
        expect(Math.abs(part - exact)).toBeLessThanOrEqual(1.001);
      });
    }),
  );
});

describe("a budget", () => {
  const budget = { micros: 100, startUs: 0, endUs: 1_000 };

  test.each([
    [10, 500, undefined, "none"],
    [60, 500, undefined, "projected"],
    [60, 500, 30, "none"],
    [101, 500, 0, "exceeded"],
    [40, 10, undefined, "none"],
  ] as const)("with %d spent at %d and %s planned is %s", (spent, nowUs, planned, level) => {
    const rest = planned === undefined ? {} : { plannedMicros: planned };
    expect(decideAlarm(budget, spent, nowUs, "none", rest).level).toBe(level);
  });

  test("goes on from when spending began, not from the start of the month", () => {
    const { level, projectedMicros } = decideAlarm(budget, 40, 800, "none", { sinceUs: 700 });
    expect([level, projectedMicros]).toEqual(["projected", 120]);
    expect(decideAlarm(budget, 40, 710, "none", { sinceUs: 700 }).level).toBe("none");
  });

  test("raises each level once", () => {
    expect(decideAlarm(budget, 60, 500, "none").raised).toBe(true);
    expect(decideAlarm(budget, 60, 500, "projected").raised).toBe(false);
    expect(decideAlarm(budget, 120, 600, "projected").raised).toBe(true);
  });
});
