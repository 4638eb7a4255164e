/**
 * Fills missing steps by season: what the same time of week says, else the same time of day, scaled
 * to the level around the gap; where there is no season, a straight line.
 */

import { DAY_US } from "./series.ts";

/** How many steps on either side of a gap say what the level is. */
const AROUND = 12;

interface Gap {
  /** First missing step, and the step after the last. */
  readonly from: number;
  readonly to: number;
}

export function findGaps(values: ArrayLike<number>): Gap[] {
  const gaps: Gap[] = [];
  for (let at = 0; at < values.length; at++) {
    if (!Number.isNaN(values[at])) continue;
    const from = at;
    while (at < values.length && Number.isNaN(values[at])) at++;
    gaps.push({ from, to: at });
  }
  return gaps;
}

/** Fills one gap of `values` (steps of `stepUs`); each filled step is at least 0. */
export function fillGap(values: ArrayLike<number>, stepUs: number, gap: Gap): number[] {
  const daySteps = Math.round(DAY_US / stepUs);
  for (const seasonSteps of [7 * daySteps, daySteps]) {
    if (seasonSteps === 0 || gap.to - gap.from > seasonSteps) continue;
    const filled = fillBySeason(values, gap, seasonSteps);
    if (filled !== undefined) return filled;
  }
  return fillByLine(values, gap);
}

function fillBySeason(
  values: ArrayLike<number>,
  { from, to }: Gap,
  seasonSteps: number,
): number[] | undefined {
  const reference = (at: number): number => {
    const before = values[at - seasonSteps] ?? Number.NaN;
    const after = values[at + seasonSteps] ?? Number.NaN;
    if (Number.isNaN(before)) return after;
    return Number.isNaN(after) ? before : (before + after) / 2;
  };
  const season = Array.from({ length: to - from }, (_, at) => reference(from + at));
  if (season.some(Number.isNaN)) return undefined;
  let own = 1;
  let theirs = 1;
  for (let away = 1; away <= AROUND; away++) {
    for (const at of [from - away, to - 1 + away]) {
      const here = values[at] ?? Number.NaN;
      const there = reference(at);
      if (Number.isNaN(here) || Number.isNaN(there)) continue;
      own += here;
      theirs += there;
    }
  }
  return season.map((value) => (value * own) / theirs);
}

function fillByLine(values: ArrayLike<number>, { from, to }: Gap): number[] {
  const after = values[to] ?? Number.NaN;
  const before = from > 0 ? (values[from - 1] as number) : after;
  const end = Number.isNaN(after) ? before : after;
  if (Number.isNaN(end)) return Array.from({ length: to - from }, () => 0);
  const steps = to - from + 1;
  return Array.from({ length: to - from }, (_, at) => before + ((end - before) * (at + 1)) / steps);
}
