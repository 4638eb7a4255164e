/** Draws counts over time with braille dots, two by four to a character, for terminals. */

import { formatTimestamp } from "@millrace/load-facts";

export interface PlotLine {
  /** Values at even steps, as many as every other line of the plot has; NaN is a gap. */
  readonly values: readonly number[];
  /** `line` draws the values, `dots` every third one, for bounds; `dashes` every other stretch. */
  readonly style: "line" | "dots" | "dashes";
}

export interface PlotOptions {
  /** Characters. */
  readonly width: number;
  readonly height: number;
  readonly startUs: number;
  readonly stepUs: number;
  /** Index of the step where the forecast starts, which gets a rule. */
  readonly nowStep: number;
}

/** Bits of the dots of a braille character: columns of two, rows of four. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;
const BLANK = 0x2800;
const LABEL_COLUMNS = 8;

export function plot(lines: readonly PlotLine[], options: PlotOptions): string {
  const { width, height, nowStep, startUs, stepUs } = options;
  const steps = Math.max(1, ...lines.map(({ values }) => values.length));
  const columns = width * 2;
  const rows = height * 4;
  const top = niceTop(Math.max(1e-9, ...lines.flatMap(({ values }) => finite(values))));
  const cells = new Uint8Array(width * height);
  const dot = (x: number, y: number): void => {
    const at = Math.floor(y / 4) * width + Math.floor(x / 2);
    cells[at] = (cells[at] ?? 0) | (DOTS[y % 4]?.[x % 2] ?? 0);
  };
  const rowOf = (value: number): number =>
    rows - 1 - Math.round((Math.min(value, top) / top) * (rows - 1));
  for (const { values, style } of lines) {
    let before: number | undefined;
    for (let x = 0; x < columns; x++) {
      const value = peakOf(values, (x * steps) / columns, ((x + 1) * steps) / columns);
      if (value === undefined) {
        before = undefined;
        continue;
      }
      const row = rowOf(value);
      const from = style === "dots" ? row : Math.min(before ?? row, row);
      const to = style === "dots" ? row : Math.max(before ?? row, row);
      if (isDrawn(style, x)) for (let y = from; y <= to; y++) dot(x, y);
      before = row;
    }
  }
  const now = Math.floor((nowStep * columns) / steps);
  if (now > 0 && now < columns) for (let y = 0; y < rows; y += 2) dot(now, y);
  const text = Array.from({ length: height }, (_, row) => {
    const label = row === 0 ? shortNumber(top) : row === height - 1 ? "0" : "";
    const dots = [...cells.subarray(row * width, (row + 1) * width)];
    const drawn = dots.map((bits) => String.fromCodePoint(BLANK + bits)).join("");
    return `${label.padStart(LABEL_COLUMNS)} ${drawn}`;
  });
  return [...text, timeAxis(width, startUs, steps * stepUs)].join("\n");
}

const isDrawn = (style: PlotLine["style"], x: number): boolean =>
  style === "line" || (style === "dots" ? x % 3 === 0 : x % 8 < 4);

const finite = (values: readonly number[]): number[] => values.filter(Number.isFinite);

/** The largest value of a column, so that no burst is lost between two dots. */
function peakOf(values: readonly number[], from: number, to: number): number | undefined {
  const first = Math.floor(from);
  const found = finite(values.slice(first, Math.max(first + 1, Math.ceil(to))));
  return found.length === 0 ? undefined : Math.max(...found);
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function niceTop(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= max) ?? 10;
  return factor * power;
}

const shortNumber = (value: number): string =>
  value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : String(value);

const TICK_COLUMNS = 16;

function timeAxis(width: number, startUs: number, spanUs: number): string {
  let axis = " ".repeat(LABEL_COLUMNS + 1);
  for (let column = 0; column + TICK_COLUMNS <= width; column += TICK_COLUMNS) {
    const at = formatTimestamp(startUs + (column / width) * spanUs);
    axis += `${at.slice(5, 10)} ${at.slice(11, 16)}`.padEnd(TICK_COLUMNS);
  }
  return axis.trimEnd();
}
