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
  readonly age: Float64Array;
}

export function arrangeScores(scores: readonly Score[]): Scores {
  const sorted = scores.toSorted((a, b) => a.ratio - b.ratio);
  return {
    count: sorted.length,
    ratio: Float64Array.from(sorted, (score) => score.ratio),
    level: Float64Array.from(sorted, (score) => score.level),
    lead: Uint8Array.from(sorted, (score) => score.lead),
    age: Float64Array.from(sorted, (score) => 0.5 ** (score.ageDays / HALF_LIFE_DAYS)),
  };
}

/** The scores' quantiles for an hour of this level and lead; at most the largest score. */
export function ratioQuantiles(
  scores: Scores,
  level: number,
  lead: number,
  quantiles: readonly number[],
): number[] {
  const { count, ratio, age } = scores;
  const row = Math.min(lead, DAY - 1) * DAY;
  const sums = new Float64Array(count);
  let total = 0;
  for (let at = 0; at < count; at++) {
    const apart = Math.abs((scores.level[at] as number) - level) / LEVEL_SCALE;
    const near = LEAD_WEIGHT[row + (scores.lead[at] as number)] as number;
    total += Math.exp(-apart) * near * (age[at] as number);
    sums[at] = total;
  }
  return quantiles.map((quantile) => {
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) >= quantile * total) high = middle;
      else low = middle + 1;
    }
    return ratio[low] ?? 0;
  });
}
