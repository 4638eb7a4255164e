/**
 * From hours to steps of five minutes and back: a forecast by hours is drawn as a line that keeps
 * every hour's sum, times the usual shape of an hour (scheduled jobs start on the hour).
 */

import { HOUR_US, type Series } from "@millrace/load-facts";

/** Peaks are judged over five minutes: shorter ones are for queues and batches to absorb. */
export const FINE_US = 300_000_000;

const SHAPE_HOURS = 336;
/** Hours of evidence that the assumption of an even hour is worth. */
const SHAPE_PRIOR_HOURS = 48;
const SHAPE_RATIO_MAX = 3;

/** Counts by steps of five minutes, or by the series' own where that is coarser. */
export interface Fine {
  readonly perHour: number;
  readonly stepUs: number;
  /** From the first hour's start; NaN where nothing was counted. */
  readonly count: Float64Array;
}

/** @param hours how many whole hours from `anchorUs` on */
export function toFine(series: Series, anchorUs: number, hours: number): Fine {
  const stepUs = Math.max(series.stepUs, FINE_US % series.stepUs === 0 ? FINE_US : series.stepUs);
  const perHour = Math.round(HOUR_US / stepUs);
  const per = Math.round(stepUs / series.stepUs);
  const offset = Math.round((anchorUs - series.startUs) / series.stepUs);
  const count = new Float64Array(hours * perHour);
  for (let step = 0; step < count.length; step++) {
    let sum = 0;
    let present = 0;
    for (let at = offset + step * per; at < offset + (step + 1) * per; at++) {
      const value = series.values[at] as number;
      if (!(value >= 0)) continue;
      sum += value;
      present++;
    }
    count[step] = present * 2 >= per ? (sum * per) / present : Number.NaN;
  }
  return { perHour, stepUs, count };
}

/**
 * Counts per fine step from counts per hour.
 *
 * @param before the hour before the first, which gives the first line its slope
 * @param shape one factor per fine step of the hour, of mean 1
 */
export function drawFine(hourly: Float64Array, before: number, shape: Float64Array): Float64Array {
  const per = shape.length;
  const fine = new Float64Array(hourly.length * per);
  for (let hour = 0; hour < hourly.length; hour++) {
    const own = hourly[hour] as number;
    const previous = hour === 0 ? before : (hourly[hour - 1] as number);
    const next = hour + 1 < hourly.length ? (hourly[hour + 1] as number) : own;
    // Steeper than twice the hour's own count, the line would go below zero.
    const slope = Math.max(-2 * own, Math.min(2 * own, (next - previous) / 2));
    for (let step = 0; step < per; step++) {
      const line = own + slope * ((step + 0.5) / per - 0.5);
      fine[hour * per + step] = (line / per) * (shape[step] as number);
    }
  }
  return fine;
}

/** How the steps of an hour have differed in the two weeks before hour `to`, shrunk to evenness. */
export function shapeOfHour(fine: Fine, count: Float64Array, to: number): Float64Array {
  const { perHour } = fine;
  const sum = new Float64Array(perHour);
  let seen = 0;
  const even = new Float64Array(perHour).fill(1);
  const from = Math.max(1, to - SHAPE_HOURS);
  if (perHour === 1 || from >= to) return even;
  const line = drawFine(count.subarray(from, to), count[from - 1] as number, even);
  for (let hour = from; hour < to; hour++) {
    seen++;
    for (let step = 0; step < perHour; step++) {
      const counted = fine.count[hour * perHour + step] as number;
      const drawn = line[(hour - from) * perHour + step] as number;
      const ratio = counted >= 0 ? Math.min(SHAPE_RATIO_MAX, (counted + 1) / (drawn + 1)) : 1;
      sum[step] = (sum[step] as number) + ratio;
    }
  }
  const shape = sum.map((total) => (total + SHAPE_PRIOR_HOURS) / (seen + SHAPE_PRIOR_HOURS));
  const mean = shape.reduce((total, value) => total + value, 0) / perHour;
  return shape.map((value) => value / mean);
}
