/** Overrules forecasts that cannot be: not numbers, negative, or far above anything ever seen. */

import { type Hours, WEEK } from "./hours.ts";

/** Times the recent maximum that no day ahead is believed to exceed. */
const ABSURD = 20;
const RECENT_HOURS = 2 * WEEK;

/**
 * Why a forecast is refused, or undefined where it can stand.
 *
 * @param countMax the recent maximum
 */
export function absurdity(values: ArrayLike<number>, countMax: number): string | undefined {
  const limit = ABSURD * Math.max(1, countMax);
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (!Number.isFinite(value)) return `${value} at hour ${at}`;
    if (value < 0) return `negative (${value.toPrecision(3)}) at hour ${at}`;
    if (value > limit) {
      return `${value.toPrecision(3)} at hour ${at} is over ${ABSURD} times the recent maximum`;
    }
  }
  return undefined;
}

/** The largest believed hour of the two weeks before `to`. */
export function recentMax({ count, believed }: Hours, to: number): number {
  let max = 0;
  for (let at = Math.max(0, to - RECENT_HOURS); at < to; at++) {
    if (believed[at] === 1) max = Math.max(max, count[at] as number);
  }
  return max;
}
