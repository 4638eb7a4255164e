/** What a load file holds once read: a series, its other sums, and every repair with its line. */

import type { Series } from "./series.ts";

/** A change that reading made to what the file says, by a rule stated in `counts.ts`. */
export interface Repair {
  /** The line that it was made at; for a gap, the line after it. */
  readonly line: number;
  readonly rule: "gap-filled" | "gap-left" | "duplicate-dropped" | "duplicate-summed" | "snapped";
  readonly detail: string;
}

export interface Trace {
  readonly kind: "counts" | "requests";
  readonly series: Series;
  /** Other columns of a per-request file (tokens), summed per step. */
  readonly sums: Readonly<Record<string, readonly number[]>>;
  readonly repairs: readonly Repair[];
}

export interface TraceOptions {
  /** Step that single requests are counted into. A minute by default. */
  readonly requestStepUs?: number;
  /** Rows of one time with different counts are refused unless they are said to be parts. */
  readonly duplicates?: "refuse" | "sum";
}
