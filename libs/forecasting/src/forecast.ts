/** The forecast as its consumers see it, and what may be asked of it. */

import type { KnownEvent } from "./events.ts";

export interface ForecastOptions {
  /** Length of a step of the answer; divides an hour. Five minutes by default. */
  readonly stepUs?: number;
  /** Steps ahead; a day by default, a week at most. */
  readonly horizonSteps?: number;
  /** Each in (0, 1). 0.5, 0.9, 0.95 and 0.99 by default. */
  readonly quantiles?: readonly number[];
  readonly events?: readonly KnownEvent[];
  /** Names of the members to use; all by default. One alone is that method, with its fall-backs. */
  readonly members?: readonly string[];
}

export interface Forecast {
  /** Start of the first step: where the history ends. */
  readonly startUs: number;
  readonly stepUs: number;
  /** Expected requests per step. */
  readonly mean: readonly number[];
  /**
   * By quantile (`"0.95"`): requests per step at the rate of the busiest five minutes of the hour
   * around the step. With the quantile's probability no five minutes of an hour exceed their line.
   */
  readonly quantiles: Readonly<Record<string, readonly number[]>>;
  /** `ensemble`, or the member that stood alone. */
  readonly method: string;
  /** Share of each member that took part. */
  readonly weights: Readonly<Record<string, number>>;
  /** What was overruled, and why; left out where nothing was. */
  readonly overruled?: readonly string[];
}

export const QUANTILES = [0.5, 0.9, 0.95, 0.99] as const;
