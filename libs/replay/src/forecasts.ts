/**
 * The forecasts of a replay, as they would have been made then: hourly, and every five minutes
 * while less than a day of load is known. All policies share them.
 */

import { fitForecast, type Forecast, Forecaster } from "@millrace/forecasting";
import { cutSeries, DAY_US, HOUR_US, type Series } from "@millrace/load-facts";
import { saneRates } from "@millrace/planning";

/** Rates in requests per second of the scaled load. */
export interface LoadForecast {
  readonly startUs: number;
  readonly stepUs: number;
  readonly mean: readonly number[];
  /** The peak within the hour, at the asked quantile of requests. */
  readonly peak: readonly number[];
  readonly method: string;
  readonly overruled: readonly string[];
}

export interface ForecastSource {
  /** When the forecast that holds at this time was made. */
  readonly madeAtUs: (nowUs: number) => number;
  readonly at: (nowUs: number) => LoadForecast;
  /** How many forecasts were made by which method so far. */
  readonly methods: () => ReadonlyMap<string, number>;
}

export const FORECAST_STEP_US = 300_000_000;
const STEPS = DAY_US / FORECAST_STEP_US;
const SECOND_US = 1_000_000;
/** Members are cheap on short histories, and learn fastest there. */
const EARLY_US = FORECAST_STEP_US;
/** Knative's room for the unknown, where nothing at all was counted yet. */
const FIRST_UTILISATION = 0.7;
/** Of what a live forecaster would hold. */
const HISTORY_US_MAX = 42 * DAY_US;

/** @param firstRate stands in while nothing is known: what whoever starts a fleet has to guess. */
export function rollingForecasts(
  trace: Series,
  scale: number,
  quantile: number,
  firstRate: number,
): ForecastSource {
  const forecaster = new Forecaster(trace, { stepUs: FORECAST_STEP_US, horizonSteps: STEPS });
  const options = {
    stepUs: FORECAST_STEP_US,
    horizonSteps: STEPS,
    quantiles: [],
    requestQuantiles: [quantile],
  };
  const made = new Map<number, LoadForecast>();
  const isEarly = (nowUs: number): boolean => nowUs < trace.startUs + DAY_US;
  const madeAtUs = (nowUs: number): number => {
    const everyUs = isEarly(nowUs) ? EARLY_US : HOUR_US;
    return trace.startUs + Math.floor((nowUs - trace.startUs) / everyUs) * everyUs;
  };
  const make = (atUs: number): LoadForecast => {
    const forecast = isEarly(atUs)
      ? fitForecast(cutSeries(trace, trace.startUs, atUs), options)
      : forecaster.at(atUs, options);
    const history = cutSeries(trace, atUs - HISTORY_US_MAX, atUs);
    return scaled(forecast, quantile, scale, history, firstRate);
  };
  return {
    madeAtUs,
    methods: () => {
      const counts = new Map<string, number>();
      for (const { method } of made.values()) counts.set(method, (counts.get(method) ?? 0) + 1);
      return counts;
    },
    at: (nowUs) => {
      const atUs = madeAtUs(nowUs);
      let forecast = made.get(atUs);
      if (forecast === undefined) {
        forecast = make(atUs);
        made.set(atUs, forecast);
      }
      return forecast;
    },
  };
}

function scaled(
  forecast: Forecast,
  quantile: number,
  scale: number,
  { values, stepUs }: Series,
  firstRate: number,
): LoadForecast {
  const perSecond = (count: number, overUs: number): number => (count * scale * SECOND_US) / overUs;
  let recentMax = 0;
  for (const value of values) if (value > recentMax) recentMax = value;
  const lastRate = perSecond(values.findLast((value) => value >= 0) ?? 0, stepUs);
  const rates = (counts: readonly number[], first: number): number[] =>
    counts.map((count) => (forecast.method === "none" ? first : perSecond(count, forecast.stepUs)));
  const most = Math.max(firstRate, perSecond(recentMax, stepUs));
  const line = forecast.requestQuantiles?.[String(quantile)] ?? [];
  const mean = saneRates(rates(forecast.mean, firstRate), lastRate, most);
  const peak = saneRates(rates(line, firstRate / FIRST_UTILISATION), lastRate, most);
  return {
    startUs: forecast.startUs,
    stepUs: forecast.stepUs,
    mean: mean.rates,
    peak: peak.rates,
    method: forecast.method,
    overruled: [...(forecast.overruled ?? []), ...peak.overruled],
  };
}

/** What really comes, to show what a better forecast could still save. */
export function perfectForecasts(
  startUs: number,
  arrivals: Float64Array,
  tickUs: number,
): ForecastSource {
  const perStep = FORECAST_STEP_US / tickUs;
  const steps = Math.ceil(arrivals.length / perStep);
  const [mean, peak]: [number[], number[]] = [[], []];
  // The chance of single arrivals within a minute is left to the queue, as for every policy.
  const perMinute = 60_000_000 / tickUs;
  for (let step = 0; step < steps; step++) {
    const [from, to] = [step * perStep, Math.min(arrivals.length, (step + 1) * perStep)];
    let sum = 0;
    let most = 0;
    for (let minute = from; minute < to; minute += perMinute) {
      let inMinute = 0;
      for (let at = minute; at < minute + perMinute; at++) inMinute += arrivals[at] ?? 0;
      sum += inMinute;
      if (inMinute > most) most = inMinute;
    }
    mean.push(sum / (((to - from) * tickUs) / SECOND_US));
    peak.push(most / 60);
  }
  const madeAtUs = (nowUs: number): number =>
    startUs + Math.floor((nowUs - startUs) / HOUR_US) * HOUR_US;
  return {
    madeAtUs,
    methods: () => new Map([["perfect", 1]]),
    at: (nowUs) => {
      const first = Math.floor((madeAtUs(nowUs) - startUs) / FORECAST_STEP_US);
      return {
        startUs: madeAtUs(nowUs),
        stepUs: FORECAST_STEP_US,
        mean: mean.slice(first, first + STEPS),
        peak: peak.slice(first, first + STEPS),
        method: "perfect",
        overruled: [],
      };
    },
  };
}
