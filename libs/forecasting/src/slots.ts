/**
 * The week in 168 slots: what each slot's hours have been, less the level of their week, the recent
 * weeks counting more. Every profile is a way to smooth these means.
 */

import { DAY, slotOf, WEEK } from "./hours.ts";
import type { Window } from "./member.ts";

export interface Slots {
  /** Weighted mean of the logarithms above their week's level; 0 where nothing was seen. */
  readonly mean: Float64Array;
  /** Sum of weights: hours seen, discounted by age. */
  readonly weight: Float64Array;
  /** Variance of one hour around its slot's mean. */
  readonly noise: number;
  /** Correlation of an hour's distance from its slot's mean with the next hour's, in [0, 0.95]. */
  readonly fade: number;
}

/** @param halfLifeHours age at which an hour counts half */
export function slotsOf(window: Window, halfLifeHours: number): Slots {
  const { hours, from, to } = window;
  const mean = new Float64Array(WEEK);
  const weight = new Float64Array(WEEK);
  const squares = new Float64Array(WEEK);
  const level = levelsOf(window);
  const keep = 0.5 ** (1 / halfLifeHours);
  let share = 1;
  for (let at = to - 1; at >= from; at--) {
    share *= keep;
    if (hours.believed[at] !== 1) continue;
    const slot = slotOf(hours, at);
    const value = (hours.log[at] as number) - (level[at - from] as number);
    mean[slot] = (mean[slot] as number) + share * value;
    squares[slot] = (squares[slot] as number) + share * value * value;
    weight[slot] = (weight[slot] as number) + share;
  }
  let noiseSum = 0;
  let noiseWeight = 1e-9;
  for (let slot = 0; slot < WEEK; slot++) {
    const seen = weight[slot] as number;
    if (seen === 0) continue;
    const average = (mean[slot] as number) / seen;
    mean[slot] = average;
    // One hour alone has no spread; a slot seen once would claim to be certain.
    if (seen < 1) continue;
    noiseSum += Math.max(0, (squares[slot] as number) - seen * average * average);
    noiseWeight += Math.max(0, seen - 0.7);
  }
  const noise = Math.max(1e-6, noiseSum / noiseWeight);
  return { mean, weight, noise, fade: fadeOf(window, level, mean) };
}

function fadeOf({ hours, from, to }: Window, level: Float64Array, mean: Float64Array): number {
  let covariance = 0;
  let variance = 1e-9;
  let before = 0;
  for (let at = from; at < to; at++) {
    const known = hours.believed[at] === 1;
    const season = (level[at - from] as number) + (mean[slotOf(hours, at)] as number);
    const rest = known ? (hours.log[at] as number) - season : 0;
    covariance += rest * before;
    variance += before * before;
    before = rest;
  }
  return Math.max(0, Math.min(0.95, covariance / variance));
}

/** The level of every hour: means of weeks back from the origin, joined by straight lines. */
function levelsOf({ hours, from, to }: Window): Float64Array {
  const length = to - from;
  const span = length >= 2 * WEEK ? WEEK : length >= 2 * DAY && length < WEEK ? DAY : length;
  const blocks = Math.max(1, Math.floor(length / Math.max(1, span)));
  const centres: number[] = [];
  const means: number[] = [];
  for (let block = 0; block < blocks; block++) {
    const end = to - block * span;
    // The oldest block takes what is left over, so that no level rests on a few hours.
    const start = block === blocks - 1 ? from : end - span;
    let sum = 0;
    let seen = 0;
    for (let at = start; at < end; at++) {
      sum += hours.log[at] as number;
      seen++;
    }
    centres.push((start + end) / 2 - from);
    means.push(sum / Math.max(1, seen));
  }
  const levels = new Float64Array(length);
  let block = blocks - 1;
  for (let at = 0; at < length; at++) {
    while (block > 0 && at > (centres[block - 1] as number)) block--;
    const left = Math.min(block, blocks - 1);
    const right = Math.max(0, left - 1);
    const here = centres[left] as number;
    const there = centres[right] as number;
    const way = there === here ? 0 : Math.max(0, Math.min(1, (at - here) / (there - here)));
    levels[at] = (means[left] as number) * (1 - way) + (means[right] as number) * way;
  }
  return levels;
}
