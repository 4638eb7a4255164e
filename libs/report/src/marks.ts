/** Series as SVG elements. */

import { area, curveLinear, curveStepAfter, line } from "d3-shape";
import type { Axis } from "./axes.ts";
import type { Series } from "./chart-spec.ts";
import type { Frame } from "./frame.ts";
import type { Span } from "./spans.ts";

const round = (pixels: number): number => Math.round(pixels * 10) / 10;

const drawable = ([x, low, high]: Span): boolean =>
  Number.isFinite(x) && Number.isFinite(low) && Number.isFinite(high);

function bars(spans: readonly Span[], x: Axis, y: Axis, floor: number, color: string): string {
  const places = spans.map(([at]) => x.place(at));
  let gap = Infinity;
  for (let at = 1; at < places.length; at++) {
    gap = Math.min(gap, (places[at] as number) - (places[at - 1] as number));
  }
  const width = Math.max(1, Number.isFinite(gap) ? gap * 0.8 : 12);
  const path = spans
    .filter(drawable)
    .map(([at, , high]) => {
      const top = y.place(high);
      const left = round(x.place(at) - width / 2);
      return `M${left},${round(floor)}V${round(top)}h${round(width)}V${round(floor)}Z`;
    })
    .join("");
  return `<path d="${path}" style="fill:${color}"/>`;
}

/** One series, in a colour that is any CSS value. */
export function drawSeries(
  kind: Series["kind"],
  spans: readonly Span[],
  color: string,
  x: Axis,
  y: Axis,
  frame: Frame,
): string {
  const floor = frame.top + frame.height;
  const zero = Math.min(floor, y.place(0));
  if (kind === "bar") return bars(spans, x, y, zero, color);
  const curve = kind === "step" ? curveStepAfter : curveLinear;
  const parts: string[] = [];
  if (kind !== "line" && kind !== "step") {
    const fill = area<Span>()
      .defined(drawable)
      .digits(1)
      .x(([at]) => x.place(at))
      .y0(([, low]) => (kind === "range" ? y.place(low) : zero))
      .y1(([, , high]) => y.place(high));
    parts.push(`<path d="${fill(spans) ?? ""}" style="fill:${color};fill-opacity:0.22"/>`);
  }
  if (kind !== "range") {
    const stroke = line<Span>()
      .defined(drawable)
      .digits(1)
      .curve(curve)
      .x(([at]) => x.place(at))
      .y(([, , high]) => y.place(high));
    parts.push(
      `<path d="${stroke(spans) ?? ""}" style="fill:none;stroke:${color};stroke-width:1.6;` +
        `stroke-linejoin:round"/>`,
    );
  }
  return parts.join("");
}
