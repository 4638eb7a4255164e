/**
 * A chart as an SVG string, drawn without a DOM. Colours are CSS variables with defaults, so one
 * drawing is right on a light page and on a dark one; `htmlPage` sets them. Scales and paths are
 * d3's; echarts' server-side renderer was tried first and fixes the colours, needs 67 MB of
 * packages, 0.6 s and 150 MB to start.
 */

import { assert } from "@millrace/std";
import { type Axis, xAxis, yAxis } from "./axes.ts";
import { type Band, type ChartSpec, type Series, SERIES_MAX } from "./chart-spec.ts";
import { escapeText } from "./escape.ts";
import { type Frame, frameOf } from "./frame.ts";
import { drawSeries } from "./marks.ts";
import { paletteColor } from "./palette.ts";
import { spansOf, thin } from "./spans.ts";

const INK = "var(--ink, #1d2433)";
const FAINT = "var(--faint, #6b7280)";
const RULE = "var(--rule, #e3e6ec)";
const BAND = "var(--band, #f59e0b)";

/** Text is not measured without a DOM: a character of the legend's size takes about 6.4 pixels. */
const CHARACTER_WIDTH = 6.4;
const LEGEND_GAP = 30;

interface LegendEntry {
  readonly name: string;
  readonly color: string;
  readonly left: number;
  readonly row: number;
}

function legendOf(series: readonly Series[], width: number): readonly LegendEntry[] {
  let left = 58;
  let row = 0;
  return series.map(({ name, color }, place) => {
    const room = name.length * CHARACTER_WIDTH + LEGEND_GAP;
    if (left > 58 && left + room > width) {
      left = 58;
      row++;
    }
    const entry = { name, color: color ?? paletteColor(place), left, row };
    left += room;
    return entry;
  });
}

const text = (x: number, y: number, said: string, more: string): string =>
  `<text x="${Math.round(x)}" y="${Math.round(y)}" ${more}>${escapeText(said)}</text>`;

/** Bands lie behind everything; the labels of those wide enough stand at their top. */
function drawBands(bands: readonly Band[], x: Axis, frame: Frame): string {
  return bands
    .map(({ from, to, label }) => {
      const left = x.place(from);
      const width = Math.max(1.5, x.place(to) - left);
      const box =
        `<rect x="${left.toFixed(1)}" y="${frame.top}" width="${width.toFixed(1)}" ` +
        `height="${frame.height}" style="fill:${BAND};fill-opacity:0.14"/>`;
      const fits = width > label.length * 5.4 + 6;
      const said = fits
        ? text(left + 4, frame.top + 11, label, `font-size="9" style="fill:${FAINT}"`)
        : "";
      return `<g><title>${escapeText(label)}</title>${box}${said}</g>`;
    })
    .join("");
}

function drawGrid(x: Axis, y: Axis, frame: Frame): string {
  const bottom = frame.top + frame.height;
  const right = frame.left + frame.width;
  const rows = y.ticks.map(({ at, text: said }) => {
    const row = `<path d="M${frame.left},${at.toFixed(1)}H${right}" style="stroke:${RULE}"/>`;
    return row + text(frame.left - 8, at + 4, said, `text-anchor="end" style="fill:${FAINT}"`);
  });
  const columns = x.ticks.map(
    ({ at, text: said }) =>
      `<path d="M${at.toFixed(1)},${bottom}v5" style="stroke:${FAINT}"/>` +
      text(at, bottom + 18, said, `text-anchor="middle" style="fill:${FAINT}"`),
  );
  const base = `<path d="M${frame.left},${bottom}H${right}" style="stroke:${FAINT}"/>`;
  return rows.join("") + columns.join("") + base;
}

function drawLegend(legend: readonly LegendEntry[]): string {
  return legend
    .map(({ name, color, left, row }) => {
      const y = 40 + row * 18;
      const key = `<rect x="${left.toFixed(0)}" y="${y - 8}" width="12" height="8" rx="2" `;
      return `${key}style="fill:${color}"/>${text(left + 17, y, name, `style="fill:${INK}"`)}`;
    })
    .join("");
}

/** @returns one `<svg>` element that scales to the width of what holds it. */
export function svgChart(spec: ChartSpec): string {
  const { title, width, height, series, bands = [] } = spec;
  assert(series.length <= SERIES_MAX, `a chart of ${series.length} series, at most ${SERIES_MAX}`);
  const legend = legendOf(series, width);
  const frame = frameOf(width, height, (legend.at(-1)?.row ?? -1) + 1);
  const spans = series.map((one) => thin(spansOf(one), frame.width));
  const x = xAxis(spec, spans, frame);
  const y = yAxis(spec, spans, frame);
  const marks = series.map(({ kind }, place) =>
    drawSeries(kind, spans[place] ?? [], legend[place]?.color ?? INK, x, y, frame),
  );
  const right = frame.left + frame.width;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img"`,
    ` aria-label="${escapeText(title)}" font-family="system-ui, sans-serif" font-size="11"`,
    ` fill="none" style="width:100%;height:auto">`,
    text(14, 18, title, `font-size="13" font-weight="600" style="fill:${INK}"`),
    text(right, 18, spec.y.label, `text-anchor="end" style="fill:${FAINT}"`),
    text(right, height - 6, spec.x.label, `text-anchor="end" style="fill:${FAINT}"`),
    drawLegend(legend),
    drawBands(bands, x, frame),
    drawGrid(x, y, frame),
    // What lies behind the marks can still be pointed at.
    `<g pointer-events="none">${marks.join("")}</g>`,
    "</svg>",
  ].join("");
}
