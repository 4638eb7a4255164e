/**
 * Holt-Winters on logarithms, where its additive season multiplies: with a week's season, with a
 * day's, and with both (Taylor 2003, with his autoregression of the last error). Gains are chosen
 * from a small grid by the error a day ahead, because that is what the forecast is for.
 */

import { DAY, slotOf, WEEK } from "../hours.ts";
import type { Member, Window } from "../member.ts";
import { hierarchicalProfile } from "./hierarchical.ts";
import { slotsOf } from "../slots.ts";

interface Gains {
  readonly level: number;
  readonly day: number;
  readonly week: number;
}

/** Errors count up to this many times their usual size. */
const CLIP = 3;
/** The season starts from the first weeks. */
const START_HOURS = 2 * WEEK;

const grid = (
  levels: readonly number[],
  days: readonly number[],
  weeks: readonly number[],
): Gains[] =>
  levels.flatMap((level) =>
    days.flatMap((day) => weeks.map((week): Gains => ({ level, day, week }))),
  );

const LEVELS = [0.003, 0.02, 0.08, 0.25];

export const holtWintersWeek: Member = holtWinters(
  "holt-winters-168",
  WEEK + 2 * DAY,
  grid(LEVELS, [0], [0.02, 0.07, 0.2, 0.4]),
);
export const holtWintersDay: Member = holtWinters(
  "holt-winters-24",
  2 * DAY,
  grid(LEVELS, [0.05, 0.15, 0.4], [0]),
);
export const holtWintersDouble: Member = holtWinters(
  "holt-winters-double",
  WEEK + 2 * DAY,
  grid(LEVELS, [0.02, 0.1], [0.03, 0.15]),
);

function holtWinters(name: string, hoursMin: number, gains: readonly Gains[]): Member {
  return {
    name,
    hoursMin,
    forecast(window, horizon) {
      const start = startSeason(window, gains);
      let best: State | undefined;
      for (const tried of gains) {
        const state = run(window, start, tried, best?.missed ?? Number.POSITIVE_INFINITY);
        if (state !== undefined) best = state;
      }
      return ahead(window, best as State, horizon);
    },
  };
}

interface State {
  readonly level: number;
  readonly day: Float64Array;
  readonly week: Float64Array;
  readonly rest: number;
  readonly fade: number;
  /** Sum of absolute errors a day ahead, in logarithms. */
  readonly missed: number;
}

interface Season {
  readonly level: number;
  readonly day: Float64Array;
  readonly week: Float64Array;
  /** Mean absolute change from hour to hour. */
  readonly usual: number;
}

function startSeason(window: Window, gains: readonly Gains[]): Season {
  const { hours, from, to } = window;
  const first = { hours, from, to: Math.min(to, from + START_HOURS) };
  const profile = hierarchicalProfile(slotsOf(first, START_HOURS));
  const day = new Float64Array(DAY);
  const week = new Float64Array(WEEK);
  const hasDay = gains.some((each) => each.day > 0);
  const hasWeek = gains.some((each) => each.week > 0);
  for (let slot = 0; slot < WEEK; slot++) {
    day[slot % DAY] = (day[slot % DAY] as number) + (profile[slot] as number) / 7;
  }
  for (let slot = 0; slot < week.length; slot++) {
    week[slot] = (profile[slot] as number) - (hasDay ? (day[slot % DAY] as number) : 0);
  }
  if (!hasWeek) week.fill(0);
  if (!hasDay) day.fill(0);
  let sum = 0;
  const until = Math.min(to, from + (hasWeek ? WEEK : DAY));
  for (let at = from; at < until; at++) sum += hours.log[at] as number;
  let change = 0;
  for (let at = from + 1; at < to; at++) {
    change += Math.min(1, Math.abs((hours.log[at] as number) - (hours.log[at - 1] as number)));
  }
  return {
    level: sum / Math.max(1, until - from),
    day,
    week,
    usual: Math.max(1e-6, change / Math.max(1, to - from - 1)),
  };
}

/**
 * One pass over the window: smooths, and measures what a forecast a day before would have missed.
 * Undefined as soon as that is `missedMax` or more: other gains were better.
 */
function run(
  { hours, from, to }: Window,
  start: Season,
  gains: Gains,
  missedMax: number,
): State | undefined {
  const { believed, log } = hours;
  const day = start.day.slice();
  const week = start.week.slice();
  const levels = new Float64Array(to - from);
  const kept = 1 - gains.level;
  const keptRest = kept - gains.day - gains.week;
  let { level } = start;
  let rest = 0;
  let covariance = 0;
  let variance = 1e-9;
  let missed = 0;
  let slot = slotOf(hours, from);
  // The innermost loop of every fit: counted on, in place of a remainder per hour.
  for (let at = from; at < to; at++, slot = slot === WEEK - 1 ? 0 : slot + 1) {
    if (believed[at] !== 1) {
      levels[at - from] = level;
      rest = 0;
      continue;
    }
    const hour = slot % DAY;
    const daySeason = day[hour] as number;
    const weekSeason = week[slot] as number;
    const value = (log[at] as number) - daySeason - weekSeason;
    if (at - from >= DAY) {
      missed += Math.abs(value - (levels[at - from - DAY] as number));
      if (missed >= missedMax) return undefined;
    }
    const limit = CLIP * (start.usual + 0.5 * Math.abs(rest));
    const distance = value - level;
    const error = distance > limit ? limit : distance < -limit ? -limit : distance;
    level += gains.level * error;
    day[hour] = daySeason + gains.day * kept * error;
    week[slot] = weekSeason + gains.week * kept * error;
    levels[at - from] = level;
    const next = keptRest * error;
    covariance += next * rest;
    variance += rest * rest;
    rest = next;
  }
  const fade = Math.max(0, Math.min(0.95, covariance / variance));
  return { level, day, week, rest, fade, missed };
}

function ahead({ hours, to }: Window, state: State, horizon: number): Float64Array {
  let left = state.rest;
  return Float64Array.from({ length: horizon }, (_, step) => {
    const slot = slotOf(hours, to + step);
    left *= state.fade;
    const season = (state.day[slot % DAY] as number) + (state.week[slot] as number);
    return Math.max(0, Math.expm1(state.level + season + left));
  });
}
