/**
 * How far a load has strayed from its own last minutes, which is what can be said of the next ones
 * before any day of it was forecast and counted.
 */

import type { Series } from "@millrace/load-facts";

export interface Spread {
  /** Minutes, or the series' own steps where they are longer, that it was measured over. */
  readonly steps: number;
  /** Of the logarithm of a step's count over the mean of the quarter of an hour before it. */
  readonly variance: number;
}

const MINUTE_US = 60_000_000;
const BEFORE_US = 15 * MINUTE_US;
/** Two hours say enough; older ones may have been another load. */
const STEPS_MAX = 120;

/** Of the part of the series before `toUs`. */
export function spreadBefore(series: Series, toUs: number): Spread {
  const per = Math.max(1, Math.round(MINUTE_US / series.stepUs));
  const span = Math.max(1, Math.round(BEFORE_US / (per * series.stepUs)));
  const end = Math.min(
    series.values.length,
    Math.floor((toUs - series.startUs) / series.stepUs + 1e-9),
  );
  const counts = lastCounts(series.values, end, per, STEPS_MAX + span);
  let squares = 0;
  let steps = 0;
  for (let at = 1; at < counts.length; at++) {
    const before = counts.slice(Math.max(0, at - span), at);
    const mean = before.reduce((sum, count) => sum + count, 0) / before.length;
    squares += Math.log(((counts[at] as number) + 1) / (mean + 1)) ** 2;
    steps++;
  }
  return { steps, variance: steps === 0 ? 0 : squares / steps };
}

/** Sums of `per` values up to `end`, oldest first, without those that miss one. */
function lastCounts(
  values: readonly number[],
  end: number,
  per: number,
  countMax: number,
): number[] {
  const counts: number[] = [];
  for (let to = end; to >= per && counts.length < countMax; to -= per) {
    let sum = 0;
    for (let at = to - per; at < to; at++) sum += values[at] as number;
    if (sum >= 0) counts.push(sum);
  }
  return counts.reverse();
}

/** Steps of evidence that the assumption about an unknown load is worth. */
const ASSUMED_STEPS = 2;

/**
 * Standard deviation, as a share of `fine` requests per step, `lead` hours ahead: independent
 * arrivals and half of the load while nothing is known, what was measured as it comes in. Of hours
 * further away the last minutes say less.
 */
export function deviationAhead(fine: number, lead: number, { steps, variance }: Spread): number {
  const assumed = (1 / Math.sqrt(Math.max(fine, 1e-9)) + 0.5) ** 2;
  const told = steps / (1 + lead * lead);
  return Math.sqrt((ASSUMED_STEPS * assumed + told * variance) / (ASSUMED_STEPS + told));
}

/** Of the standard normal distribution, at the quantiles that are asked for. */
const DEVIATIONS = [
  [0.99, 2.33],
  [0.95, 1.65],
  [0.9, 1.28],
  [0.5, 0],
] as const;

/**
 * How many standard deviations a quantile lies above the mean; the next lower one's in the table.
 */
export const deviationsOf = (quantile: number): number =>
  DEVIATIONS.find(([least]) => quantile >= least)?.[1] ?? 0;
