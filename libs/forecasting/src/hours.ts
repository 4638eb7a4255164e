/**
 * The history as whole hours, which is what the members see: counts, their logarithms, and which
 * hours are to be believed. Everything here is causal: an hour is judged and filled by earlier
 * hours only, so that a forecast from any origin in a long series is the one that would have been
 * made.
 */

import { DAY_US, HOUR_US, type Series } from "@millrace/load-facts";
import { type KnownEvent, withoutEvents } from "./events.ts";

export const DAY = 24;
export const WEEK = 168;
/** No member looks back further: six weeks. */
export const HISTORY_HOURS_MAX = 6 * WEEK;

/** Hours in a row without a request that are taken for an outage; more are taken for the truth. */
const OUTAGE_HOURS_MAX = 24;
/** A silent hour is an outage only where this much was to be expected. */
const OUTAGE_COUNT_MIN = 50;

export interface Hours {
  readonly startUs: number;
  /** Requests per hour without known events; what is missing or an outage is filled by season. */
  readonly count: Float64Array;
  /** log(1 + count): seasons of load multiply, and a burst must not outweigh a week. */
  readonly log: Float64Array;
  /** 1 where the hour was counted and is believed; members learn from no other. */
  readonly believed: Uint8Array;
  /** 1 where the hour was counted at all; errors are measured on these. */
  readonly counted: Uint8Array;
  /** Requests per hour as counted, NaN where not. */
  readonly raw: Float64Array;
  /** Hour of the week of the first hour, by the Unix epoch in UTC. */
  readonly phase: number;
}

export const slotOf = (hours: Hours, at: number): number => (hours.phase + at) % WEEK;

/** Sums of steps per hour from `anchorUs` on, which is where the first whole hour starts. */
export function toHours(series: Series, anchorUs: number, events: readonly KnownEvent[]): Hours {
  const per = Math.max(1, Math.round(HOUR_US / series.stepUs));
  const offset = Math.round((anchorUs - series.startUs) / series.stepUs);
  const length = Math.max(0, Math.floor((series.values.length - offset) / per));
  const raw = new Float64Array(length);
  for (let hour = 0; hour < length; hour++) {
    let sum = 0;
    let present = 0;
    for (let at = offset + hour * per; at < offset + (hour + 1) * per; at++) {
      const value = series.values[at] as number;
      if (!(value >= 0)) continue;
      sum += value;
      present++;
    }
    // An hour of which less than half was counted is missing.
    raw[hour] = present * 2 >= per ? (sum * per) / present : Number.NaN;
  }
  const phase = Math.floor((((anchorUs % (7 * DAY_US)) + 7 * DAY_US) % (7 * DAY_US)) / HOUR_US);
  return believe(raw, withoutEvents(raw, anchorUs, events), anchorUs, phase);
}

/** @param plain the counts as they would have been without known events */
function believe(raw: Float64Array, plain: Float64Array, startUs: number, phase: number): Hours {
  const { length } = raw;
  const count = new Float64Array(length);
  const log = new Float64Array(length);
  const believed = new Uint8Array(length);
  const counted = new Uint8Array(length);
  let silent = 0;
  for (let at = 0; at < length; at++) {
    const value = plain[at] as number;
    counted[at] = Number.isNaN(raw[at]) ? 0 : 1;
    silent = value === 0 ? silent + 1 : 0;
    const outage = silent > 0 && silent <= OUTAGE_HOURS_MAX && expectedMin(count, at);
    if (value >= 0 && !outage) {
      count[at] = value;
      believed[at] = 1;
    } else {
      count[at] = fillCausally(count, believed, at);
    }
    log[at] = Math.log1p(count[at] as number);
  }
  return { startUs, count, log, believed, counted, raw, phase };
}

function expectedMin(count: Float64Array, at: number): boolean {
  const yesterday = count[at - DAY];
  if (yesterday === undefined) return false;
  return Math.min(yesterday, count[at - WEEK] ?? yesterday) >= OUTAGE_COUNT_MIN;
}

/** A gap is filled at most so many times above or below its season: a level never leaps. */
const FILL_RATIO_MAX = 3;

/** Last week's hour, else yesterday's, at the level of the last believed day. */
function fillCausally(count: Float64Array, believed: Uint8Array, at: number): number {
  const back = at >= WEEK ? WEEK : DAY;
  if (at < back) return count[at - 1] ?? 0;
  let here = 1;
  let there = 1;
  for (let before = at - 1; before >= Math.max(back, at - 2 * DAY); before--) {
    if (believed[before] !== 1) continue;
    here += count[before] as number;
    there += count[before - back] as number;
  }
  const level = Math.max(1 / FILL_RATIO_MAX, Math.min(FILL_RATIO_MAX, here / there));
  return (count[at - back] as number) * level;
}
