/** The forecast as its consumers see it, and what may be asked of it. */

import type { KnownEvent } from "./events.ts";

/** A day of requests per hour from `originUs` on, made elsewhere. */
export interface SuppliedDay {
  readonly originUs: number;
  readonly hourly: readonly number[];
}

export interface ForecastOptions {
  /** Length of a step of the answer; divides an hour. Five minutes by default. */
  readonly stepUs?: number;
  /** Steps ahead; a day by default, a week at most. */
  readonly horizonSteps?: number;
  /** Each in (0, 1). 0.5, 0.9, 0.95 and 0.99 by default. */
  readonly quantiles?: readonly number[];
  /** Each in (0, 1): what a fleet is planned for. `DEMAND` by default. */
  readonly requestQuantiles?: readonly number[];
  readonly events?: readonly KnownEvent[];
  /** Names of the members to use; all by default. One alone is that method, with its fall-backs. */
  readonly members?: readonly string[];
  /**
   * Outside members by name. Each gives the day ahead, from the history's end, and earlier days:
   * it is weighed like the others once it has been judged on two of them.
   */
  readonly supplied?: Readonly<Record<string, readonly SuppliedDay[]>>;
  /** Methods made elsewhere that only stand beside the forecast. */
  readonly compared?: Readonly<Record<string, SuppliedDay>>;
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
  /**
   * The same, but no more than the rest of the requests come in hours that exceed their line. An
   * objective counts requests: where load comes in bursts the hours above a line hold most of it.
   * Forecasts of before there was one have none.
   */
  readonly requestQuantiles?: Readonly<Record<string, readonly number[]>> | undefined;
  /** `ensemble`, or the member that stood alone. */
  readonly method: string;
  /** Share of each member that took part. */
  readonly weights: Readonly<Record<string, number>>;
  /** What was overruled, and why; left out where nothing was. */
  readonly overruled?: readonly string[];
  /** Expected requests per step by methods that have no part in it; left out without any. */
  readonly compared?: Readonly<Record<string, readonly number[]>>;
}

export const QUANTILES = [0.5, 0.9, 0.95, 0.99] as const;
/** The share of requests in hours that a fleet is planned to serve without the reactive loop. */
export const DEMAND = 0.75;
