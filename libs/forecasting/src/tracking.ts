/**
 * Follows the level of a series around a known weekly profile: exponential smoothing of the level
 * and a first-order autoregression of what is left, on logarithms. Innovations are clipped at three
 * times their usual size (robust exponential smoothing, Gelper, Fried and Croux 2010), so that a
 * burst or an outage moves the level a little and a lasting change within hours.
 */

import { DAY, slotOf, WEEK } from "./hours.ts";
import type { Window } from "./member.ts";

const GAINS = [0.003, 0.01, 0.03, 0.06, 0.12, 0.25];
const CLIP = 3;

/** Where the level stands at the origin, and how what is left of the last hour fades. */
export interface Track {
  readonly level: number;
  /** The last hour less level and profile. */
  readonly rest: number;
  /** Autocorrelation of the rest from one hour to the next, in [0, 0.98]. */
  readonly fade: number;
  /** Sum of absolute errors of the level a day ahead, in logarithms. */
  readonly missed: number;
}

/** Takes the gain whose forecasts a day ahead would have been best in the window. */
export function track(window: Window, profile: Float64Array): Track {
  const rests = restsOf(window, profile);
  const usual = usualSize(rests);
  let best: Track | undefined;
  for (const gain of GAINS) {
    const tried = trackWith(rests, gain, usual, best?.missed ?? Number.POSITIVE_INFINITY);
    if (tried !== undefined) best = tried;
  }
  return best as Track;
}

/** The hours ahead as counts: profile, level, and the fading rest. */
export function extrapolate(
  window: Window,
  profile: Float64Array,
  { level, rest, fade }: Track,
  horizon: number,
): Float64Array {
  const ahead = new Float64Array(horizon);
  let left = rest;
  for (let step = 0; step < horizon; step++) {
    left *= fade;
    const season = profile[slotOf(window.hours, window.to + step)] as number;
    ahead[step] = Math.max(0, Math.expm1(season + level + left));
  }
  return ahead;
}

function restsOf({ hours, from, to }: Window, profile: Float64Array): Float64Array {
  const rests = new Float64Array(to - from);
  for (let at = from; at < to; at++) {
    rests[at - from] =
      hours.believed[at] === 1
        ? (hours.log[at] as number) - (profile[slotOf(hours, at)] as number)
        : Number.NaN;
  }
  return rests;
}

/** Mean absolute change from hour to hour: a scale that a change of level does not inflate. */
function usualSize(rests: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (let at = 1; at < rests.length; at++) {
    const change = Math.abs((rests[at] as number) - (rests[at - 1] as number));
    if (Number.isNaN(change)) continue;
    sum += Math.min(change, 1);
    count++;
  }
  return Math.max(1e-6, sum / Math.max(1, count));
}

/** Undefined as soon as it misses `missedMax` or more: another gain was better. */
function trackWith(
  rests: Float64Array,
  gain: number,
  usual: number,
  missedMax: number,
): Track | undefined {
  const { length } = rests;
  const levels = new Float64Array(length);
  const first = Math.min(length, WEEK);
  let level = startLevel(rests, first);
  let missed = 0;
  let covariance = 0;
  let variance = 1e-9;
  let rest = 0;
  for (let at = 0; at < length; at++) {
    const value = rests[at] as number;
    if (Number.isNaN(value)) {
      // Nothing was seen: the level stands, and the rest is unknown.
      levels[at] = level;
      rest = 0;
      continue;
    }
    if (at >= DAY) {
      missed += Math.abs(value - (levels[at - DAY] as number));
      if (missed >= missedMax) return undefined;
    }
    const innovation = value - level;
    const limit = CLIP * (usual + 0.5 * Math.abs(rest));
    level += gain * Math.max(-limit, Math.min(limit, innovation));
    levels[at] = level;
    const next = Math.max(-limit, Math.min(limit, value - level));
    covariance += next * rest;
    variance += rest * rest;
    rest = next;
  }
  const fade = Math.max(0, Math.min(0.98, covariance / variance));
  return { level, rest, fade, missed };
}

function startLevel(rests: Float64Array, count: number): number {
  let sum = 0;
  let seen = 0;
  for (let at = 0; at < count; at++) {
    const value = rests[at] as number;
    if (Number.isNaN(value)) continue;
    sum += value;
    seen++;
  }
  return seen === 0 ? 0 : sum / seen;
}
