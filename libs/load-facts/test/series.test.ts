/** Series and facts: sums are kept, what is missing stays missing, nothing is counted twice. */

import { describe, expect, test } from "vitest";
import type { LoadFact } from "@millrace/protocol";
import {
  cutSeries,
  factsOfTrace,
  formatFacts,
  HOUR_US,
  mergeFacts,
  MINUTE_US,
  resample,
  rollUp,
  seriesOfFacts,
} from "../src/index.ts";

const minutes = (values: readonly number[], startUs = 0) => ({
  startUs,
  stepUs: MINUTE_US,
  values,
});

describe("resampling", () => {
  test("sums to hours, and spreads to minutes again", () => {
    const hours = resample(minutes(Array.from({ length: 120 }, (_, at) => at)), HOUR_US);
    expect(hours.values).toEqual([1770, 5370]);
    const back = resample(hours, MINUTE_US);
    expect(back.values).toHaveLength(120);
    expect(back.values[0]).toBeCloseTo(29.5);
  });

  test("scales an hour of which half is there, and leaves one of less missing", () => {
    const values = Array.from({ length: 120 }, (_, at) =>
      at % 60 < (at < 60 ? 30 : 29) ? 2 : NaN,
    );
    expect(resample(minutes(values), HOUR_US).values).toEqual([120, Number.NaN]);
  });

  test("starts on the grid, without an hour that is mostly outside", () => {
    const series = minutes(
      Array.from({ length: 100 }, () => 1),
      50 * MINUTE_US,
    );
    expect(resample(series, HOUR_US)).toEqual({
      startUs: HOUR_US,
      stepUs: HOUR_US,
      values: [60, 60],
    });
  });

  test("a cut keeps the steps that lie wholly inside", () => {
    const cut = cutSeries(minutes([1, 2, 3, 4]), 30_000_000, 3 * MINUTE_US);
    expect(cut).toEqual(minutes([2, 3], MINUTE_US));
  });
});

const fact = (change: Partial<LoadFact>): LoadFact => ({
  v: 1,
  model: "digits",
  priority: "standard",
  source: "ingress-1",
  atUs: 0,
  spanUs: MINUTE_US,
  arrivals: 10,
  rows: 10,
  served: 9,
  refused: 1,
  failed: 0,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 100,
  outputBytes: 50,
  queueUs: 1_000,
  computeUs: 5_000,
  crossingBytes: 20,
  ...change,
});

describe("facts", () => {
  test("of several sources and tenants add up, and one that came twice counts once", () => {
    const merged = mergeFacts([
      fact({}),
      fact({ arrivals: 12 }),
      fact({ source: "ingress-2" }),
      fact({ tenant: "acme" }),
      fact({ priority: "batch" }),
    ]);
    expect(merged.map(({ priority, arrivals }) => [priority, arrivals])).toEqual([
      ["batch", 10],
      ["standard", 32],
    ]);
    expect(merged[0]).not.toHaveProperty("tenant");
  });

  test("roll up to hours per source", () => {
    const facts = [0, 59, 60].map((minute) => fact({ atUs: minute * MINUTE_US }));
    const hours = rollUp([...facts, fact({ source: "ingress-2" })]);
    expect(hours.map(({ source, atUs, arrivals }) => [source, atUs, arrivals])).toEqual([
      ["ingress-1", 0, 20],
      ["ingress-2", 0, 10],
      ["ingress-1", HOUR_US, 10],
    ]);
  });

  test("become a series in which silence is 0 and absence is missing", () => {
    const facts = [fact({}), fact({ model: "other", atUs: MINUTE_US })];
    const window = { fromUs: 0, toUs: 3 * MINUTE_US, spanUs: MINUTE_US };
    expect(seriesOfFacts(facts, "digits", window).values).toEqual([10, 0, Number.NaN]);
  });

  test.each([
    [0.4, 15, 240],
    [1.5, 15, 900],
    [0.4, 60, 240],
  ])("of fractions of %d in steps of %d s are %d in all", (count, stepS, total) => {
    const values = Array.from({ length: 600 }, () => count);
    const series = { startUs: 0, stepUs: stepS * 1_000_000, values };
    const trace = { kind: "counts" as const, series, sums: {}, repairs: [] };
    const facts = factsOfTrace(trace, { model: "m", priority: "batch", source: "import" });
    expect(facts.reduce((sum, { arrivals }) => sum + arrivals, 0)).toBe(total);
  });

  test("of token columns are what went in and what came out, and no total", () => {
    const series = { startUs: 0, stepUs: 60_000_000, values: [1] };
    const sums = { "request tokens": [7], "response tokens": [3], "total tokens": [10] };
    const trace = { kind: "counts" as const, series, sums, repairs: [] };
    const [first] = factsOfTrace(trace, { model: "m", priority: "batch", source: "import" });
    expect([first?.inputTokens, first?.outputTokens]).toEqual([7, 3]);
  });

  test("of a trace keep its sums, and read as CSV", () => {
    const series = { startUs: 0, stepUs: 300_000_000, values: [7, Number.NaN, 12] };
    const trace = {
      kind: "counts" as const,
      series,
      sums: { output_tokens: [3, 0, 4] },
      repairs: [],
    };
    const facts = factsOfTrace(trace, { model: "digits", priority: "batch", source: "import" });
    const arrivals = facts.map((each) => each.arrivals);
    expect(arrivals.slice(0, 5).reduce((sum, count) => sum + count)).toBe(7);
    expect(arrivals.slice(-5).reduce((sum, count) => sum + count)).toBe(12);
    expect(facts.reduce((sum, each) => sum + each.outputTokens, 0)).toBe(7);
    const lines = formatFacts(facts).trim().split("\n");
    expect(lines[0]).toMatch(/^timestamp,span_s,model,priority,source,tenant,kind,arrivals,served/);
    expect(lines[1]).toMatch(/^1970-01-01T00:00:00Z,60,digits,batch,import,,,1,0,0/);
  });
});
