/** The forecasts that hold, in rows a second, and what of them could not be believed. */

import { saneRates } from "@millrace/planning";
import type { Deferral } from "./deferral.ts";
import type { ElasticEffect, ElasticEvent, Foretold } from "./events.ts";

/** A model's demand as it was forecast, in rows a second, after what could not be believed. */
export interface Foreseen {
  readonly startUs: number;
  readonly stepUs: number;
  readonly rates: readonly number[];
  readonly meanRates: readonly number[];
  readonly overruled: readonly string[];
}

const SECOND_US = 1_000_000;

export class Forecasts {
  /** Which line must be served at once. */
  readonly #quantile: string;
  readonly #deferral: Deferral;
  readonly #models = new Map<string, Foreseen>();
  /** What was overruled last, by model, without its numbers. */
  readonly #overruled = new Map<string, string>();

  constructor(quantile: string, deferral: Deferral) {
    this.#quantile = quantile;
    this.#deferral = deferral;
  }

  get all(): ReadonlyMap<string, Foreseen> {
    return this.#models;
  }

  get first(): Foreseen | undefined {
    return [...this.#models.values()][0];
  }

  made(event: Extract<ElasticEvent, { type: "forecastMade" }>): ElasticEffect[] {
    const { batch, forecast, model } = event;
    const { mean, quantiles, requestQuantiles } = forecast;
    const line = requestQuantiles?.[this.#quantile] ?? quantiles[this.#quantile] ?? mean;
    const foreseen = believed(event, line);
    this.#models.set(model, foreseen);
    const reasons = [...foreseen.overruled];
    if (batch === undefined) {
      this.#deferral.foresee(model, undefined);
    } else {
      const { meanRates, overruled, startUs, stepUs } = believed(batch, batch.forecast.mean);
      const { rowsPerRequest } = batch;
      this.#deferral.foresee(model, { startUs, stepUs, rates: meanRates, rowsPerRequest });
      reasons.push(...overruled.map((reason) => `batch: ${reason}`));
    }
    return this.#saidOnce(model, reasons);
  }

  /** An overruling is news when it begins and when its reasons change, not at every refit. */
  #saidOnce(model: string, reasons: readonly string[]): ElasticEffect[] {
    const kind = reasons
      .map((reason) => reason.replaceAll(/\d+(?:\.\d+)?(?:e[+-]?\d+)?/g, ""))
      .join();
    if (kind === (this.#overruled.get(model) ?? "")) return [];
    this.#overruled.set(model, kind);
    return [{ type: "overruled", model, reasons }];
  }
}

/** What of a forecast can be believed, in rows a second. */
function believed(foretold: Foretold, line: readonly number[]): Foreseen {
  const { forecast, lastPerSecond, mostPerSecond, rowsPerRequest } = foretold;
  const { mean, startUs, stepUs } = forecast;
  const sane = (counts: readonly number[]) => {
    const perSecond = counts.map((count) => count / (stepUs / SECOND_US));
    return saneRates(perSecond, lastPerSecond, mostPerSecond);
  };
  const rows = (rates: readonly number[]): number[] => rates.map((rate) => rate * rowsPerRequest);
  const { overruled, rates } = sane(line);
  return {
    startUs,
    stepUs,
    rates: rows(rates),
    meanRates: rows(sane(mean).rates),
    overruled: [...(forecast.overruled ?? []), ...overruled],
  };
}
