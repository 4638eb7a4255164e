/** I5 over jobs that are lost, done twice, accepted twice, mixed up, or never end. */

import { expect, test } from "vitest";
import { checkOneEffect, type Fact, Observer } from "../src/index.ts";

const accepted = (job = "a", key = "key-a"): Fact => ({ type: "jobAccepted", job, key, items: 2 });
const read = (item: number, content: string | undefined = `a/${item}`): Fact => ({
  type: "jobItemRead",
  job: "a",
  item,
  content,
});
const ended: Fact = { type: "jobEnded", job: "a" };

function violations(...facts: readonly Fact[]): readonly string[] {
  const observer = new Observer([checkOneEffect]);
  facts.forEach((fact, at) => observer.observe(fact, at));
  observer.finish(facts.length);
  return observer.violations.map(({ message }) => message);
}

test("a job with one result for each item is sound, also where an item failed", () => {
  const failed: Fact = { type: "jobItemRead", job: "a", item: 1, content: undefined };
  expect(violations(accepted(), read(0), read(1), ended)).toEqual([]);
  expect(violations(accepted(), read(0), failed, ended)).toEqual([]);
});

test("breaks I5: an item of a good input that failed", () => {
  const item = { type: "jobItemRead", job: "a", item: 1, content: undefined } as const;
  expect(violations(accepted(), read(0), { ...item, failed: "GIVEN_UP" }, ended)).toEqual([
    "item 1 of job a failed with GIVEN_UP, and its input is good",
  ]);
});

test("the same acceptance may be said twice", () => {
  expect(violations(accepted(), accepted(), read(0), read(1), ended)).toEqual([]);
});

test.each([
  ["never ended", [accepted()]],
  ["1 of 2 results are lost", [accepted(), read(0), ended]],
  ["item 0 of job a has a result too many", [accepted(), read(0), read(0), read(1), ended]],
  ["item 2 of job a has a result too many", [accepted(), read(0), read(1), read(2), ended]],
  ["has the result of b/1", [accepted(), read(0), read(1, "b/1"), ended]],
  ["never accepted", [read(0)]],
] as const)("breaks I5: %s", (message, facts) => {
  expect(violations(...facts).join("\n")).toContain(message);
});

test("breaks I5: one key that led to two jobs", () => {
  const said = violations(accepted("a"), accepted("b"), read(0), read(1), ended);
  expect(said[0]).toBe("job key-a was accepted twice, as a and as b");
});
