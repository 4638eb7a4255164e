/** Which minutes of a run are played request by request. */

import { describe, expect, test } from "vitest";
import {
  STRETCH_REQUESTS_MAX,
  STRETCH_TICKS,
  STRETCH_TICKS_MAX,
  WorstStretch,
} from "../src/stretch.ts";

const tick = { urgent: 100, fills: false, ready: 2, queued: 0, bad: 0, capacity: 200 };

function worstOf(ticks: readonly Partial<typeof tick>[]) {
  const stretches = new WorstStretch();
  ticks.forEach((each, at) => stretches.add(at, { ...tick, ...each }));
  return stretches.finish();
}

const many = (count: number, change: Partial<typeof tick> = {}) =>
  Array.from({ length: count }, () => change);

describe("the worst stretch", () => {
  test("is the minute with most that was slow or failed", () => {
    const worst = worstOf([
      ...many(STRETCH_TICKS, { bad: 1 }),
      ...many(STRETCH_TICKS, { bad: 3 }),
      ...many(STRETCH_TICKS, { bad: 2 }),
    ]);
    expect(worst?.firstTick).toBe(STRETCH_TICKS);
    expect(worst?.ticks).toHaveLength(STRETCH_TICKS);
    expect(worst?.ticks[0]).toEqual({ urgent: 100, fills: false, ready: 2 });
  });

  test("is the fullest where nothing was slow, and the last counts though it is short", () => {
    expect(worstOf([...many(STRETCH_TICKS), ...many(3, { urgent: 150 })])?.firstTick).toBe(
      STRETCH_TICKS,
    );
  });

  test("goes on until nothing waits, and no longer than three minutes", () => {
    const over = STRETCH_TICKS + 2;
    const long = worstOf([{}, ...many(over, { queued: 5, bad: 1 }), ...many(STRETCH_TICKS)]);
    expect(long?.ticks).toHaveLength(over + 1);
    const endless = worstOf([{}, ...many(10 * STRETCH_TICKS, { queued: 5, bad: 1 })]);
    expect([endless?.firstTick, endless?.ticks.length]).toEqual([0, STRETCH_TICKS_MAX]);
  });

  test("begins with nothing waiting", () => {
    const worst = worstOf([...many(STRETCH_TICKS, { queued: 1, bad: 9 }), ...many(STRETCH_TICKS)]);
    expect(worst?.firstTick).toBe(STRETCH_TICKS);
  });

  test("has a bound on its requests, and is none where a tick is over it, or nothing came", () => {
    const half = STRETCH_REQUESTS_MAX / 2;
    expect(worstOf(many(5, { urgent: half }))?.ticks).toHaveLength(2);
    expect(worstOf(many(5, { urgent: STRETCH_REQUESTS_MAX + 1 }))).toBeUndefined();
    expect(worstOf(many(50, { urgent: 0 }))).toBeUndefined();
  });
});
