/** The two axes of a chart: where a value lies, and where the ticks are and what they say. */

import { scaleLinear, scaleLog, scaleUtc } from "d3-scale";
import type { ChartSpec } from "./chart-spec.ts";
import type { Frame } from "./frame.ts";
import type { Span } from "./spans.ts";

export interface Tick {
  readonly at: number;
  readonly text: string;
}

export interface Axis {
  /** Pixels from the drawing's left or upper edge. */
  readonly place: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** Least and greatest of the finite values; `[0, 1]` where there are none. */
function extent(values: Iterable<number>): readonly [number, number] {
  let least = Infinity;
  let greatest = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return least > greatest ? [0, 1] : [least, greatest];
}

const grouped = (value: number): string =>
  Math.abs(value) >= 1000 ? value.toLocaleString("en-US") : String(Number(value.toPrecision(6)));

/** Midnight is its date, any other time its hour and minute, and its second where there is one. */
function clockText(ms: number): string {
  const iso = new Date(ms).toISOString();
  if (ms % 86_400_000 === 0) return iso.slice(0, 10);
  return ms % 60_000 === 0 ? iso.slice(11, 16) : iso.slice(11, 19);
}

/** The x axis spans what the series and the bands span. */
export function xAxis(
  { x, bands = [] }: ChartSpec,
  spans: readonly (readonly Span[])[],
  frame: Frame,
): Axis {
  const [first, last] = extent([
    ...spans.flatMap((points) => points.map(([at]) => at)),
    ...bands.flatMap(({ from, to }) => [from, to]),
  ]);
  const range = [frame.left, frame.left + frame.width];
  const ticksMax = Math.max(2, Math.floor(frame.width / 90));
  if (x.kind === "value") {
    const scale = scaleLinear([first, last === first ? first + 1 : last], range);
    return {
      place: scale,
      ticks: scale.ticks(ticksMax).map((at) => ({ at: scale(at), text: grouped(at) })),
    };
  }
  const scale = scaleUtc([first / 1000, (last === first ? first + 1_000_000 : last) / 1000], range);
  return {
    place: (us) => scale(us / 1000),
    ticks: scale.ticks(ticksMax).map((at) => ({ at: scale(at), text: clockText(at.getTime()) })),
  };
}

/** A linear axis begins at zero unless values lie below it: heights are compared by eye. */
export function yAxis({ y }: ChartSpec, spans: readonly (readonly Span[])[], frame: Frame): Axis {
  const range = [frame.top + frame.height, frame.top];
  const ticksMax = Math.max(2, Math.floor(frame.height / 40));
  const heights = spans.flatMap((points) => points.flatMap(([, low, high]) => [low, high]));
  if (y.kind === "linear") {
    const [least, greatest] = extent(heights);
    const lower = Math.min(0, least);
    const upper = greatest > lower ? greatest : lower + 1;
    const scale = scaleLinear([lower, upper], range).nice(ticksMax);
    return {
      place: scale,
      ticks: scale.ticks(ticksMax).map((at) => ({ at: scale(at), text: grouped(at) })),
    };
  }
  const [least, greatest] = extent(heights.filter((value) => value > 0));
  const floor = least > 0 ? 10 ** Math.floor(Math.log10(least) - 1e-9) : 0.1;
  const top = 10 ** Math.ceil(Math.log10(Math.max(greatest, floor * 10)) - 1e-9);
  const scale = scaleLog([floor, top], range);
  const decades = Math.round(Math.log10(top / floor));
  // Each power of ten has its tick; up to three of them leave room for their halves and fifths.
  const ticks = scale.ticks().filter((at) => {
    const lead = Math.round(at / 10 ** Math.floor(Math.log10(at) + 1e-9));
    return lead === 1 || (decades <= 3 && (lead === 2 || lead === 5));
  });
  return {
    place: (value) => scale(Math.max(value, floor)),
    ticks: ticks.map((at) => ({ at: scale(at), text: grouped(at) })),
  };
}
