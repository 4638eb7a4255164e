/** What a scheduler's steps take. */

import { expect, test } from "vitest";
import { TimedCore } from "../src/timed-core.ts";

test("the times of all steps add up, and what they say is passed on", () => {
  let nowUs = 1_000;
  const core = {
    wakeAtUs: 7,
    step: (event: number, atUs: number): readonly number[] => {
      nowUs += event;
      return [event, atUs];
    },
  };
  const timed = new TimedCore(core, () => nowUs);
  expect(timed.step(5, nowUs)).toEqual([5, 1_000]);
  nowUs += 100;
  expect(timed.step(20, nowUs)).toEqual([20, 1_105]);
  expect(timed.stepsUs).toBe(25);
  expect(timed.wakeAtUs).toBe(7);
});
