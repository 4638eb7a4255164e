/**
 * Quantiles by rolling split-conformal prediction: how far the peak five minutes of an hour have
 * been above what was forecast a day before, in the hours most like the one ahead. Hours count by
 * age, by how near their forecast level was and how far ahead it was made (weighted conformal
 * prediction, Barber, Candes, Ramdas and Tibshirani 2023).
 */

import { DAY } from "./hours.ts";

/** One hour that was forecast and then counted. */
export interface Score {
  /** log of the peak ratio (counted + 1) / (forecast + 1) over the hour's fine steps. */
  readonly ratio: number;
  /** log(1 + forecast of the hour). */
  readonly level: number;
  /** Hours ahead that it was forecast, from 0 up to 23. */
  readonly lead: number;
  readonly ageDays: number;
}

const HALF_LIFE_DAYS = 7;
/** Distance of levels, in logarithms, and of leads, in doublings, at which an hour counts 1/e. */
const LEVEL_SCALE = 1.5;
const LEAD_SCALE = 3;

/** How much an hour forecast at one lead says of an hour at another: row per lead. */
const LEAD_WEIGHT = Float64Array.from({ length: DAY * DAY }, (_, at) => {
  const [one, other] = [Math.floor(at / DAY), at % DAY];
  return Math.exp(-Math.abs(Math.log2((one + 2) / (other + 2))) / LEAD_SCALE);
});

/** Scores in an order and a form that quantiles are quickly read from. */
export interface Scores {
  readonly count: number;
  /** Rising. */
  readonly ratio: Float64Array;
  readonly level: Float64Array;
  readonly lead: Uint8Array;
  /** What each counts, by age: where hours are asked about. */
  readonly hours: Float64Array;
  /** The same times its requests over those forecast: where requests are asked about. */
  readonly requests: Float64Array;
}

/** A line for a share of the hours to keep to, or for the hours of a share of the requests. */
export interface Line {
  readonly quantile: number;
  readonly of: "hours" | "requests";
}

/** One peak weighs at most as much as so many hours that came as they were forecast. */
const REQUESTS_MAX = 1_000;

export function arrangeScores(scores: readonly Score[]): Scores {
  const sorted = scores.toSorted((a, b) => a.ratio - b.ratio);
  const hours = Float64Array.from(sorted, (score) => 0.5 ** (score.ageDays / HALF_LIFE_DAYS));
  return {
    count: sorted.length,
    ratio: Float64Array.from(sorted, (score) => score.ratio),
    level: Float64Array.from(sorted, (score) => score.level),
    lead: Uint8Array.from(sorted, (score) => score.lead),
    hours,
    requests: hours.map(
      (weight, at) => weight * Math.min(REQUESTS_MAX, Math.exp(sorted[at]?.ratio ?? 0)),
    ),
  };
}

/** The scores' quantiles for an hour of this level and lead; at most the largest score. */
export function ratioQuantiles(
  scores: Scores,
  level: number,
  lead: number,
  lines: readonly Line[],
): number[] {
  const { count, ratio } = scores;
  const near = nearness(scores, level, lead);
  const sums = { hours: sumsOf(near, scores.hours), requests: sumsOf(near, scores.requests) };
  return lines.map(({ quantile, of }) => {
    const wanted = quantile * (sums[of][count - 1] ?? 0);
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[of][middle] as number) >= wanted) high = middle;
      else low = middle + 1;
    }
    return ratio[low] ?? 0;
  });
}

/** How much each score says of an hour of this level and lead. */
function nearness(scores: Scores, level: number, lead: number): Float64Array {
  const row = Math.min(lead, DAY - 1) * DAY;
  return scores.level.map((other, at) => {
    const apart = Math.abs(other - level) / LEVEL_SCALE;
    return Math.exp(-apart) * (LEAD_WEIGHT[row + (scores.lead[at] as number)] as number);
  });
}

function sumsOf(near: Float64Array, weights: Float64Array): Float64Array {
  let total = 0;
  return near.map((each, at) => (total += each * (weights[at] as number)));
}
