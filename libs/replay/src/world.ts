/**
 * What all policies of a replay share: load, forecasts, prices, the spot market and the settings.
 */

import type { PriceBook, WorkerKind } from "@millrace/costing";
import { DEMAND } from "@millrace/forecasting";
import { type Series } from "@millrace/load-facts";
import { FOLLOW_OPTIONS, type FollowOptions, SPOT_RULES, type SpotRules } from "@millrace/planning";
import { present, seededRandom } from "@millrace/std";
import { type ForecastSource, perfectForecasts, rollingForecasts } from "./forecasts.ts";
import {
  drawArrivals,
  quantileOf,
  type ReplayWindow,
  TICK_US,
  valuesIn,
  windowOf,
} from "./load.ts";
import { drawnMarket, marketOfTrace, type SpotMarket, type SpotTrace } from "./spot-market.ts";

export interface ReplaySettings {
  /** Workers of the static fleet that serves the P99.9 minute at `PEAK_UTILISATION`. */
  readonly peakWorkers: number;
  readonly kind: string;
  /** Requests per second that one worker serves within the objective, at fp32. */
  readonly perWorkerPerSecond: number;
  readonly startUpSeconds: number;
  /** Of the requests: hours of this share of them are within what the forecast asks for. */
  readonly quantile: number;
  readonly utilisationMax: number;
  readonly spot: SpotRules;
  readonly follow: FollowOptions;
  /** Of the requests, where a policy defers. */
  readonly deferrableShare: number;
  readonly deferrableHours: number;
  readonly daysMax: number;
  readonly seed: number;
}

/** One setting for every trace. */
export const REPLAY_SETTINGS: ReplaySettings = {
  peakWorkers: 10,
  kind: "gpu-l4",
  perWorkerPerSecond: 100,
  startUpSeconds: 120,
  quantile: DEMAND,
  utilisationMax: 0.95,
  spot: SPOT_RULES,
  follow: FOLLOW_OPTIONS,
  deferrableShare: 0.3,
  deferrableHours: 24,
  daysMax: 28,
  seed: 1,
};

export const PEAK_QUANTILE = 0.999;
export const PEAK_UTILISATION = 0.9;

export interface World {
  readonly settings: ReplaySettings;
  readonly prices: PriceBook;
  readonly kind: WorkerKind;
  readonly window: ReplayWindow;
  /** Requests per tick. */
  readonly arrivals: Float64Array;
  /** Their sums up to and with each tick. */
  readonly arrived: Float64Array;
  readonly rolling: ForecastSource;
  readonly perfect: ForecastSource;
  readonly market: SpotMarket;
  /** Requests per second of the first five minutes: what whoever starts a fleet has to guess. */
  readonly firstRate: number;
}

const MINUTE_US = 60_000_000;
const SECOND_US = 1_000_000;

export function makeWorld(
  trace: Series,
  prices: PriceBook,
  spotTrace: SpotTrace | undefined,
  settings: ReplaySettings,
): World {
  const kind = present(
    prices.kinds.find((each) => each.kind === settings.kind),
    `the kind ${settings.kind}`,
  );
  const window = windowOf(trace, settings.daysMax);
  const scale = scaleOf(trace, window, settings);
  const random = seededRandom(settings.seed);
  const arrivals = drawArrivals(trace, window, scale, random.fork());
  const first = firstRateOf(arrivals);
  const lengthUs = arrivals.length * TICK_US;
  const zones = new Set(
    prices.offers.filter((each) => each.kind === kind.kind).map(({ zone }) => zone),
  ).size;
  const market =
    spotTrace === undefined
      ? drawnMarket(settings.seed, zones, lengthUs)
      : marketOfTrace(spotTrace, zones, lengthUs);
  return {
    settings,
    prices,
    kind,
    window,
    arrivals,
    arrived: sumsOf(arrivals),
    rolling: rollingForecasts(trace, scale, settings.quantile, first),
    perfect: perfectForecasts(window.fromUs, arrivals, TICK_US),
    market,
    firstRate: first,
  };
}

const FIRST_TICKS = 60;

function firstRateOf(arrivals: Float64Array): number {
  const first = arrivals.subarray(0, FIRST_TICKS);
  const seconds = (first.length * TICK_US) / SECOND_US;
  return first.reduce((sum, count) => sum + count, 0) / Math.max(1, seconds);
}

/** So that the P99.9 minute keeps the static fleet at `PEAK_UTILISATION`. */
function scaleOf(trace: Series, window: ReplayWindow, settings: ReplaySettings): number {
  const values = valuesIn(trace, window);
  // Finer steps are summed to minutes; coarser ones are as fine as the trace knows.
  const per = Math.max(1, Math.round(MINUTE_US / trace.stepUs));
  const minutes: number[] = [];
  for (let at = 0; at + per <= values.length; at += per) {
    minutes.push(values.slice(at, at + per).reduce((sum, value) => sum + value, 0));
  }
  // Where load comes in fewer minutes than that, its highest one counts.
  const most = quantileOf(minutes, PEAK_QUANTILE) || quantileOf(minutes, 1);
  const peak = most / ((per * trace.stepUs) / SECOND_US);
  const wanted = settings.peakWorkers * settings.perWorkerPerSecond * PEAK_UTILISATION;
  return peak === 0 ? 0 : wanted / peak;
}

function sumsOf(values: Float64Array): Float64Array {
  const sums = new Float64Array(values.length);
  let sum = 0;
  for (let at = 0; at < values.length; at++) {
    sum += values[at] ?? 0;
    sums[at] = sum;
  }
  return sums;
}
