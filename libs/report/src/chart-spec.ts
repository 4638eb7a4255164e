/** What a chart shows, as data. */

/**
 * A point's first figure is its x: Unix microseconds on a time axis, otherwise a plain number. A
 * point that is not a finite number is a gap in a line.
 */
export type Point = readonly [x: number, y: number];

/** A point of a `range`: what lies between `low` and `high` is filled. */
export type RangePoint = readonly [x: number, low: number, high: number];

export type Series =
  | {
      readonly name: string;
      readonly kind: "line" | "area" | "step" | "bar";
      readonly points: readonly Point[];
      /** Any CSS colour; without one the series takes the next of the palette. */
      readonly color?: string;
    }
  | {
      readonly name: string;
      readonly kind: "range";
      readonly points: readonly RangePoint[];
      readonly color?: string;
    };

/** A shaded stretch of the x axis, such as the time a fault was active. */
export interface Band {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

export interface ChartSpec {
  readonly title: string;
  /** Pixels of the drawing; a page scales it to its own width. */
  readonly width: number;
  readonly height: number;
  /** `time` is UTC. */
  readonly x: { readonly kind: "time" | "value"; readonly label: string };
  /** On a `log` axis what is zero or less lies on the floor: the power of ten below the least. */
  readonly y: { readonly kind: "linear" | "log"; readonly label: string };
  readonly series: readonly Series[];
  readonly bands?: readonly Band[];
}

/** Series of one chart beyond which a reader tells none of them apart. */
export const SERIES_MAX = 16;
