/** A load series: counts at even steps. Resampling and cutting, with missing steps kept missing. */

import { assert } from "@millrace/std";

export const MINUTE_US = 60_000_000;
export const HOUR_US = 3_600_000_000;
export const DAY_US = 24 * HOUR_US;

/** Counts per step from `startUs` on; a missing step is NaN until a stated rule repairs it. */
export interface Series {
  /** Start of the first step, Unix microseconds. */
  readonly startUs: number;
  readonly stepUs: number;
  readonly values: readonly number[];
}

export const endUs = (series: Series): number =>
  series.startUs + series.stepUs * series.values.length;

/** The steps that lie wholly in [fromUs, toUs). */
export function cutSeries(series: Series, fromUs: number, toUs: number): Series {
  const { startUs, stepUs, values } = series;
  const first = Math.min(values.length, Math.max(0, Math.ceil((fromUs - startUs) / stepUs)));
  const last = Math.max(first, Math.min(values.length, Math.floor((toUs - startUs) / stepUs)));
  return { startUs: startUs + first * stepUs, stepUs, values: values.slice(first, last) };
}

/**
 * The same load at another step. Coarser: steps are summed on a grid of whole `stepUs` since the
 * epoch; a coarse step whose fine steps are at least half there is scaled up to whole, with fewer
 * it is missing; a ragged first or last step that the series covers less than half is left out.
 * Finer: each count is spread evenly.
 */
export function resample(series: Series, stepUs: number): Series {
  if (stepUs === series.stepUs) return series;
  if (stepUs < series.stepUs) return spread(series, stepUs);
  assert(stepUs % series.stepUs === 0, "a coarser step is a multiple of the finer one");
  const per = stepUs / series.stepUs;
  const firstUs = Math.floor(series.startUs / stepUs) * stepUs;
  const lead = Math.round((series.startUs - firstUs) / series.stepUs);
  const count = Math.ceil((lead + series.values.length) / per);
  const values: number[] = [];
  for (let step = 0; step < count; step++) {
    let sum = 0;
    let present = 0;
    for (let at = step * per - lead; at < (step + 1) * per - lead; at++) {
      const value = series.values[at] ?? Number.NaN;
      if (Number.isNaN(value)) continue;
      sum += value;
      present++;
    }
    values.push(present * 2 >= per ? (sum * per) / present : Number.NaN);
  }
  // The ends are ragged only by how the trace was cut: a step of which less than half is covered
  // says nothing.
  const uncovered = (lead + series.values.length) % per;
  if (uncovered > 0 && uncovered * 2 < per) values.pop();
  const ragged = lead * 2 > per ? 1 : 0;
  return { startUs: firstUs + ragged * stepUs, stepUs, values: values.slice(ragged) };
}

function spread(series: Series, stepUs: number): Series {
  assert(series.stepUs % stepUs === 0, "a finer step divides the coarser one");
  const per = series.stepUs / stepUs;
  const values = series.values.flatMap((value) => Array.from({ length: per }, () => value / per));
  return { startUs: series.startUs, stepUs, values };
}
