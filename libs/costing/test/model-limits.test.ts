/** Limits of models: what a file says, and what is refused with its line. */

import { expect, test } from "vitest";
import { describeProblem, parseModelLimits } from "../src/index.ts";

test("a file gives what it names, and nothing else", () => {
  const text = `{"digits": {"workersMin": 1, "workersMax": 4, "budgetPerHour": 2.5, "objectiveMs": 50}, "spam": {}}`;
  const limits = parseModelLimits(text);
  expect(limits.ok && [...limits.value]).toEqual([
    ["digits", { workersMin: 1, workersMax: 4, budgetMicrosPerHour: 2_500_000, objectiveMs: 50 }],
    ["spam", {}],
  ]);
});

test.each([
  ["[]", "line 1: an object of models expected"],
  ['{\n"digits": {"workersMax": -1}}', "line 2: digits.workersMax: a number from 0 to 10000"],
  ['{\n"digits": {"workersMax": 1.5}}', "line 2: digits.workersMax: a whole number expected"],
  ['{\n"digits": {"budgetPerHour": 0}}', "line 2: digits.budgetPerHour: a number from"],
  ['{\n"digits": {"objectiveMs": 0}}', "line 2: digits.objectiveMs: a number from 1 to 600000"],
  ['{"digits": {\n"workers": 4}}', "line 2: digits.workers: unknown; known are workersMin"],
  [
    '{"digits": {\n"workersMin": 5, "workersMax": 4}}',
    "line 2: digits.workersMin: at most workersMax expected, 4; is 5",
  ],
])("%s is refused", (text, problem) => {
  const limits = parseModelLimits(text);
  expect(limits.ok ? "" : limits.error.map(describeProblem).join()).toContain(problem);
});
