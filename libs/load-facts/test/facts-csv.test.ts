/** Facts as a file: what was written is read again, and what is wrong is refused with its line. */

import type { LoadFact } from "@millrace/protocol";
import { expect, test } from "vitest";
import { describeProblem, formatFacts, isFactsFile, parseFacts } from "../src/index.ts";

const FACT: LoadFact = {
  v: 1,
  model: "digits",
  priority: "realtime",
  source: "ingress-1",
  tenant: "key-1",
  kind: "gpu-l4",
  atUs: 1_769_385_600_000_000,
  spanUs: 60_000_000,
  arrivals: 10,
  served: 8,
  refused: 1,
  failed: 1,
  rows: 12,
  inputTokens: 3,
  outputTokens: 4,
  inputBytes: 100,
  outputBytes: 50,
  queueUs: 1_000,
  computeUs: 5_000,
  crossingBytes: 70,
};
const { tenant: _, kind: __, ...plain } = FACT;

test("what was written is read as it was", () => {
  const facts = [FACT, { ...plain, atUs: FACT.atUs + 60_000_000, source: "all" }];
  const text = formatFacts(facts);
  expect(isFactsFile(text)).toBe(true);
  expect(parseFacts(text)).toEqual({ ok: true, value: facts });
});

test("a trace is no file of facts", () => {
  expect(isFactsFile("timestamp,count\n0,1\n")).toBe(false);
});

test.each([
  [",digits,", ",di gits,", 'line 2: name "di gits"'],
  [",realtime,", ",urgent,", "line 2: priority urgent; expected one of realtime"],
  [",60,", ",61,", "line 2: span_s 61; expected 60 or 3600"],
  ["T00:00:00Z", "T00:00:30Z", 'line 2: timestamp "2026-01-26T00:00:30Z"'],
  [",8,1,1,", ",-8,1,1,", "line 2: served -8 is negative"],
  [",8,1,1,", ",8.5,1,1,", "line 2: served"],
  [",crossing_bytes", ",crossed", "line 1: columns timestamp"],
])("with %s as %s it is refused", (from, to, problem) => {
  const read = parseFacts(formatFacts([FACT]).replace(from, to));
  expect(read.ok ? "" : describeProblem(read.error)).toContain(problem);
});
