/** Loads drawn from a seed, of the kinds that forecasts meet. */

import { DAY_US, type Series } from "@millrace/load-facts";
import { type Random, seededRandom } from "@millrace/std";

export interface Shape {
  readonly days: number;
  readonly stepMinutes: number;
  readonly seed?: number;
  /** Requests per hour, by hours from the start. */
  readonly perHour: (hour: number) => number;
  /** Standard deviation of a slow wandering, in logarithms. */
  readonly noise?: number;
}

/** A Monday, at 00:00 UTC. */
export const START_US = 1_767_571_200_000_000;

export const daily = (hour: number): number =>
  0.15 + Math.exp(-(((hour % 24) - 14) ** 2) / 30) + 0.6 * Math.exp(-(((hour % 24) - 20) ** 2) / 6);
export const weekly = (hour: number): number => (Math.floor(hour / 24) % 7 > 4 ? 0.5 : 1);

export function draw({ days, stepMinutes, perHour, seed = 1, noise = 0.05 }: Shape): Series {
  const random = seededRandom(seed);
  const keep = 0.9 ** (stepMinutes / 60);
  let wander = 0;
  const values = Array.from({ length: (days * 1440) / stepMinutes }, (_, at) => {
    wander = keep * wander + Math.sqrt(1 - keep * keep) * noise * normal(random);
    return poisson(
      random,
      (perHour((at * stepMinutes) / 60) * stepMinutes * Math.exp(wander)) / 60,
    );
  });
  return { startUs: START_US, stepUs: (DAY_US / 1440) * stepMinutes, values };
}

const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());

function poisson(random: Random, mean: number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  let count = 0;
  for (let waited = random.exponential(1); waited < mean; waited += random.exponential(1)) count++;
  return count;
}
