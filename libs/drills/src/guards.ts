/** Guards: when a drill has to end at once, because it hurts more than it was meant to. */

import type { Bounds, Guard, Metric } from "./drill.ts";
import { showSpan } from "./reading.ts";

/** A metric over its window; undefined while there is nothing to say. */
export type ReadMetric = (metric: Metric, windowUs: number) => number | undefined;

export const inside = (value: number, { min, max }: Bounds): boolean =>
  value >= min && value <= max;

/** @returns what is broken, as a sentence; undefined while all hold. */
export function brokenGuard(guards: readonly Guard[], read: ReadMetric): string | undefined {
  for (const { metric, windowUs, bounds } of guards) {
    const value = read(metric, windowUs);
    if (value === undefined || inside(value, bounds)) continue;
    const side = value < bounds.min ? `at least ${bounds.min}` : `at most ${bounds.max}`;
    const figure = Math.round(value * 1000) / 1000;
    return `${metric} was ${figure} over ${showSpan(windowUs)}: the guard wants ${side}`;
  }
  return undefined;
}
