/** The budget of retries in a drill that uses it up: an exact count, and what shows nothing. */

import { expect, test } from "vitest";
import { present } from "@millrace/std";
import { type Evidence, judge, readDrill } from "../src/index.ts";
import { document, request } from "./fixtures.ts";

const read = readDrill(document({}, { objectives: { "retry-budget": {} } }));
const DRILL = present(read.ok ? read.value : undefined, "a sound drill");

const row = (more: Partial<Evidence>) => {
  const judgement = judge(DRILL, {
    requests: [request()],
    jobs: [],
    faults: [],
    rest: [],
    refused: [],
    deviations: [],
    calmUntilUs: 0,
    endedUs: 30_000_000,
    ...more,
  });
  const found = judgement.rows.find(({ id }) => id === "retry-budget");
  return present(found, "the objective's row");
};
/** A tenth of 5,000 requests, 10 in each of 30 seconds, and 1,000. */
const ALLOWED = 1_800;

test("the budget is a tenth of the requests, ten a second, and what was saved up", () => {
  expect(row({ attempts: { requests: 5_000, repeated: ALLOWED, denied: 1 } })).toMatchObject({
    held: true,
    evidence: "1800 of 1800, 1 more were denied",
  });
  const over = { requests: 5_000, repeated: ALLOWED + 1, denied: 1 };
  expect(row({ attempts: over }).held).toBe(false);
});

test("each ingress has a budget of its own", () => {
  const attempts = { requests: 5_000, repeated: ALLOWED + 1_300, denied: 1 };
  expect(row({ attempts, ingresses: 2 }).held).toBe(true);
  expect(row({ attempts: { ...attempts, repeated: ALLOWED + 1_301 }, ingresses: 2 }).held).toBe(
    false,
  );
});

test("where none was denied the budget was not used up, and nothing is shown", () => {
  expect(row({ attempts: { requests: 5_000, repeated: 10, denied: 0 } })).toMatchObject({
    held: false,
    violations: ["none was denied: the budget was not used up"],
  });
});

test("ingresses that do not say are red", () => {
  expect(row({})).toMatchObject({ held: false, evidence: "the ingresses did not say" });
  expect(row({ attempts: { requests: 0, repeated: 0, denied: 0 } }).held).toBe(false);
});
