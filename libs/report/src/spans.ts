/** Points as the axes and marks use them: one shape for all kinds, and no more than pixels show. */

import type { RangePoint, Series } from "./chart-spec.ts";

/** A point of any kind: both heights of a point that is not of a range are the same. */
export type Span = RangePoint;

export const spansOf = (series: Series): readonly Span[] =>
  series.kind === "range" ? series.points : series.points.map(([at, value]) => [at, value, value]);

/**
 * At most four points per pixel column: the first, the least, the greatest and the last of those in
 * it, in their order. So a peak of one point among a million is still drawn.
 */
export function thin(points: readonly Span[], columns: number): readonly Span[] {
  if (points.length <= columns * 4) return points;
  const from = (points[0] as Span)[0];
  const perColumn = ((points.at(-1) as Span)[0] - from) / columns || 1;
  const columnOf = (place: number): number =>
    Math.floor(((points[place] as Span)[0] - from) / perColumn);
  const kept: Span[] = [];
  let begin = 0;
  while (begin < points.length) {
    const column = columnOf(begin);
    let end = begin + 1;
    let least = begin;
    let greatest = begin;
    for (; end < points.length && columnOf(end) === column; end++) {
      const [, low, high] = points[end] as Span;
      const [, lowest] = points[least] as Span;
      const [, , highest] = points[greatest] as Span;
      if (low < lowest || Number.isNaN(lowest)) least = end;
      if (high > highest || Number.isNaN(highest)) greatest = end;
    }
    const wanted = new Set([begin, least, greatest, end - 1]);
    for (const place of [...wanted].sort((a, b) => a - b)) kept.push(points[place] as Span);
    begin = end;
  }
  return kept;
}
