/** Traces as their files say: what is read, repaired by a rule, and refused with its line. */

import { describe, expect, test } from "vitest";
import {
  describeProblem,
  formatTimestamp,
  parseTimestampUs,
  parseTrace,
  type Trace,
  type TraceOptions,
} from "../src/index.ts";

const csv = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;

function read(text: string, options?: TraceOptions): Trace {
  const parsed = parseTrace(text, options);
  if (!parsed.ok) throw new Error(describeProblem(parsed.error));
  return parsed.value;
}

function refusal(text: string): string {
  const parsed = parseTrace(text);
  return parsed.ok ? "accepted" : describeProblem(parsed.error);
}

const every = (count: number, stepS: number, value: (at: number) => string): string[] => [
  "timestamp,count",
  ...Array.from({ length: count }, (_, at) => `${1_700_000_000 + at * stepS},${value(at)}`),
];

test.each(["Date Time,Num Requests", "ts,count", "TIMESTAMP,value"])(
  "%s names columns",
  (header) => {
    expect(read(csv(header, "1700000000,4", "1700000060,5")).series.values).toEqual([4, 5]);
  },
);

test("a file of times alone is one of requests", () => {
  const { kind, series } = read(csv("timestamp", "1700000040", "1700000041", "1700000100"));
  expect([kind, series.values]).toEqual(["requests", [2, 1]]);
});

test("other separators are refused with what is expected", () => {
  expect(refusal("timestamp;count\n1700000000;4\n")).toContain("with commas between columns");
});

describe("timestamps", () => {
  test.each([
    ["2026-01-31T10:00:00Z", Date.UTC(2026, 0, 31, 10)],
    ["2026-01-31 10:00:00", Date.UTC(2026, 0, 31, 10)],
    ["2026-01-31T10:00:00.250+02:00", Date.UTC(2026, 0, 31, 8, 0, 0, 250)],
    ["2024-02-29", Date.UTC(2024, 1, 29)],
    ["1769853600", 1_769_853_600_000],
    ["1769853600000", 1_769_853_600_000],
    ["1769853600000000", 1_769_853_600_000],
    ["1769853600000000000", 1_769_853_600_000],
  ])("%s is read", (text, ms) => {
    expect(parseTimestampUs(text)).toBe(ms * 1000);
    expect(formatTimestamp(ms * 1000)).toBe(new Date(ms).toISOString().replace(".000Z", "Z"));
  });

  test.each(["", "noon", "2026-02-31", "2026-13-01", "2026-01-01T24:00:00Z", "-5"])(
    "%j is none",
    (text) => expect(parseTimestampUs(text)).toBeUndefined(),
  );
});

describe("counts", () => {
  test.each([60, 300, 1800, 3600])("steps of %d s are told from the rows", (stepS) => {
    const { series, repairs } = read(csv(...every(50, stepS, (at) => String(at))));
    expect(series.stepUs).toBe(stepS * 1_000_000);
    expect(series.values).toEqual(Array.from({ length: 50 }, (_, at) => at));
    expect(repairs).toEqual([]);
  });

  test("a short gap is filled by season, at the level around it", () => {
    const hourly = (at: number): number => (at % 24 === 12 ? 900 : 100) * (at >= 72 ? 2 : 1);
    const lines = every(120, 3600, (at) => String(hourly(at)));
    const missing = 84;
    lines.splice(1 + missing, 1);
    const { series, repairs } = read(csv(...lines));
    expect(series.values[missing]).toBeGreaterThan(1_200);
    expect(repairs).toEqual([
      { line: missing + 2, rule: "gap-filled", detail: expect.stringContaining("1 steps from") },
    ]);
  });

  test("a gap of more than a day stays missing, and is said", () => {
    const lines = every(100, 3600, () => "5");
    lines.splice(20, 30);
    const { series, repairs } = read(csv(...lines));
    expect(series.values).toHaveLength(100);
    expect(series.values.filter(Number.isNaN)).toHaveLength(30);
    expect(repairs.map(({ rule, line }) => [rule, line])).toEqual([["gap-left", 21]]);
  });

  test("equal duplicates are dropped, and parts are summed only where that was said", () => {
    const twice = csv("timestamp,count", "0,3", "60,4", "60,4", "120,5");
    expect(read(twice).series.values).toEqual([3, 4, 5]);
    expect(read(twice).repairs).toMatchObject([{ line: 4, rule: "duplicate-dropped" }]);
    const parts = csv("timestamp,count", "0,3", "60,4", "60,9", "120,5");
    expect(refusal(parts)).toContain("line 4: 1970-01-01T00:01:00Z twice: 4 at line 3, now 9");
    expect(read(parts, { duplicates: "sum" }).series.values).toEqual([3, 13, 5]);
    const large = parseTrace(csv("timestamp,count", "0,6e11", "0,6e11"), { duplicates: "sum" });
    expect(large).toMatchObject({ ok: false, error: { line: 3 } });
  });

  test("a row slightly off its step is moved to it", () => {
    const { series, repairs } = read(
      csv("timestamp,count", "0,1", "60,2", "123,3", "180,4", "240,5"),
    );
    expect(series.values).toEqual([1, 2, 3, 4, 5]);
    expect(repairs).toMatchObject([{ line: 4, rule: "snapped" }]);
  });

  test.each([
    [csv("timestamp,count", "0,1", "60,-2"), "line 3: count -2 is negative"],
    [csv("timestamp,count", "0,1", "60,NaN"), 'line 3: count "NaN" is no number'],
    [
      csv("timestamp,count", "0,1", "60,1e300"),
      "line 3: count 1e300 is too large; expected at most",
    ],
    [csv("timestamp,count", "0,1", "soon,2"), 'line 3: timestamp "soon" is no time'],
    [
      csv("timestamp,count", "0,1", "60,2", "30,2"),
      "line 4: 1970-01-01T00:00:30Z is before line 3",
    ],
    [csv("timestamp,count", "0,1", "60"), "line 3: 1 columns; expected 2"],
    [csv("timestamp,size", "0,1"), "line 1: no column of counts"],
    [csv("count,timestamp", "0,1"), 'line 1: first column "count"'],
    [csv("timestamp,count", "0,1", "60,1", "120,1", "150,1"), "line 5: 1970-01-01T00:02:30Z lies"],
    [csv("timestamp,count", "0,1", "7200,1"), "line 3: a step of 7200 s"],
    [csv("timestamp,count", "0,1"), "line 2: one row"],
    [csv("timestamp,count"), "line 1: no rows"],
    ["", "line 1: an empty file"],
  ])("%j is refused", (text, reason) => expect(refusal(text)).toContain(reason));
});

describe("single requests", () => {
  test("are counted into minutes, with their tokens summed", () => {
    const text = csv(
      "t_seconds,context_tokens,generated_tokens",
      "0.5,10,1",
      "59.9,20,2",
      "130,5,3",
    );
    const { series, sums } = read(text);
    expect(series).toEqual({ startUs: 0, stepUs: 60_000_000, values: [2, 0, 1] });
    expect(sums).toEqual({ context_tokens: [30, 0, 5], generated_tokens: [3, 0, 3] });
  });

  test("may carry columns that are not read", () => {
    const text = csv("Timestamp,Model,Request tokens", "5,small,472", "45,large,18");
    expect(read(text)).toMatchObject({
      series: { values: [2] },
      sums: { "request tokens": [490] },
    });
  });

  test("may be timed in milliseconds, or by timestamps", () => {
    expect(read(csv("t_ms,input_tokens", "0,1", "61000,1")).series.values).toEqual([1, 1]);
    const stamped = csv("TIMESTAMP,ContextTokens", "2023-11-16 18:15:46.680,7");
    expect(formatTimestamp(read(stamped).series.startUs)).toBe("2023-11-16T18:15:00Z");
  });

  test.each([
    [csv("t_ms,input_tokens", "50,1", "40,1"), "line 3: earlier than the row before"],
    [csv("t_ms,input_tokens", "50,1e13"), "line 2: input_tokens 1e13 is too large"],
    [csv("t_ms,input_tokens", "50,x"), 'line 2: input_tokens "x" is no number'],
    [csv("t_seconds", "1e15"), "line 2: too long a span"],
    [
      csv("t_seconds,event,node", "0,add,node1"),
      "line 1: columns event,node; expected a column of",
    ],
  ])("%j is refused", (text, reason) => expect(refusal(text)).toContain(reason));
});
