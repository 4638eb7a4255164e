/** The members that repeat what was: last week, yesterday, a month's mean week, the last hours. */

import { DAY, slotOf, WEEK } from "../hours.ts";
import type { Member, Window } from "../member.ts";

const repeat = (season: number) => (window: Window, horizon: number) =>
  Float64Array.from(
    { length: horizon },
    (_, step) => window.hours.count[window.to - season + (step % season)] as number,
  );

/** The same hour last week. */
export const seasonalNaiveWeek: Member = {
  name: "naive-168",
  hoursMin: WEEK,
  forecast: repeat(WEEK),
};

/** The same hour yesterday. */
export const seasonalNaiveDay: Member = {
  name: "naive-24",
  hoursMin: DAY,
  forecast: repeat(DAY),
};

const PROFILE_WEEKS = 4;
const LEVEL_HALF_LIFE_HOURS = 24;

/** The mean week of the last four, at the level of the last days. */
export const profileLevel: Member = {
  name: "profile-level",
  hoursMin: WEEK + DAY,
  forecast(window, horizon) {
    const { hours, to } = window;
    const from = Math.max(window.from, to - PROFILE_WEEKS * WEEK);
    const sum = new Float64Array(WEEK);
    const seen = new Float64Array(WEEK);
    for (let at = from; at < to; at++) {
      const slot = slotOf(hours, at);
      sum[slot] = (sum[slot] as number) + (hours.count[at] as number);
      seen[slot] = (seen[slot] as number) + 1;
    }
    const profile = sum.map((total, slot) => total / Math.max(1, seen[slot] as number));
    let own = 1e-9;
    let mean = 1e-9;
    let share = 1;
    for (let at = to - 1; at >= Math.max(from, to - WEEK); at--) {
      share *= 0.5 ** (1 / LEVEL_HALF_LIFE_HOURS);
      if (hours.believed[at] !== 1) continue;
      own += share * (hours.count[at] as number);
      mean += share * (profile[slotOf(hours, at)] as number);
    }
    return Float64Array.from(
      { length: horizon },
      (_, step) => ((profile[slotOf(hours, to + step)] as number) * own) / mean,
    );
  },
};

const LAST_HOURS = 3;

/** The mean of the last believed hours, for as long as it takes. */
export const persistence: Member = {
  name: "last-value",
  hoursMin: 1,
  forecast({ hours, from, to }, horizon) {
    let sum = 0;
    let seen = 0;
    for (let at = to - 1; at >= from && seen < LAST_HOURS; at--) {
      if (hours.believed[at] !== 1) continue;
      sum += hours.count[at] as number;
      seen++;
    }
    return new Float64Array(horizon).fill(seen === 0 ? 0 : sum / seen);
  },
};
