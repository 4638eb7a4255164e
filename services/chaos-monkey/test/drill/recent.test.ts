/** What guards and probes read of the last seconds. */

import { expect, test } from "vitest";
import type { LedgerRequest } from "@millrace/drills";
import { Recent } from "../../src/drill/recent.ts";

const ended = (latencyUs: number, more: Partial<LedgerRequest> = {}): LedgerRequest => ({
  id: "one",
  tenant: 0,
  model: "tiny",
  priority: "realtime",
  intendedUs: 0,
  sentUs: 0,
  endedUs: latencyUs,
  budgetUs: 2_000_000,
  attempts: 1,
  poison: false,
  ending: "answered",
  status: 200,
  code: "",
  question: "q",
  matched: "q",
  ...more,
});

const refused = { ending: "refused", status: 503 } as const;

test("a window looks at what ended in it and no further back", () => {
  const recent = new Recent();
  recent.add([ended(1_000, refused)], 1_000_000);
  recent.add([ended(1_000), ended(1_000), ended(1_000)], 9_000_000);
  expect(recent.availability(20_000_000, 10_000_000)).toBe(75);
  expect(recent.availability(5_000_000, 10_000_000)).toBe(100);
  expect([recent.ended, recent.failed]).toEqual([4, 1]);
});

test("nothing is said of a window in which nothing ended", () => {
  const recent = new Recent();
  expect(recent.availability(10_000_000, 5_000_000)).toBeUndefined();
  expect(recent.p99Ms(10_000_000, 5_000_000)).toBeUndefined();
});

test("poison and limits are no part of availability", () => {
  const recent = new Recent();
  const poison = ended(1_000, { poison: true, ending: "refused", status: 400 });
  const limited = ended(1_000, { ending: "refused", status: 429 });
  recent.add([poison, limited, ended(1_000)], 1_000_000);
  expect([recent.ended, recent.availability(10_000_000, 1_000_000)]).toEqual([1, 100]);
});

test("p99 is in milliseconds and misses one in a hundred", () => {
  const recent = new Recent();
  recent.add(
    Array.from({ length: 100 }, (_, at) => ended(at === 50 ? 900_000 : 5_000)),
    1_000_000,
  );
  expect(recent.p99Ms(10_000_000, 1_000_000)).toBe(5);
});
