/**
 * Forecasts over one history: from its end, or from any hour in it as it would have been made then.
 */

import { assert } from "@millrace/std";
import { DAY_US, endUs, HOUR_US, type Series } from "@millrace/load-facts";
import { arrangeScores, type Line, ratioQuantiles, type Score, type Scores } from "./conformal.ts";
import { Ensemble, type Mixture } from "./ensemble.ts";
import type { KnownEvent } from "./events.ts";
import { DEMAND, type Forecast, type ForecastOptions, QUANTILES } from "./forecast.ts";
import { DAY, type Hours, toHours, WEEK } from "./hours.ts";
import { CHAIN, MEMBERS } from "./members.ts";
import { deviationAhead, deviationsOf, type Spread, spreadBefore } from "./spread.ts";
import { drawFine, FINE_US, type Fine, shapeOfHour, toFine } from "./within-hour.ts";

/** Days of past forecasts that quantiles are taken from. */
const CALIBRATED_DAYS = 21;

/**
 * The next day of a history, from where it ends. Pure: the same history and options give the same
 * forecast. A history of no whole hour gives its last minutes' rate, an empty one zeros.
 */
export function fitForecast(history: Series, options: ForecastOptions = {}): Forecast {
  const { compared = {}, supplied = {} } = options;
  const originUs = endUs(history);
  const forecaster = new Forecaster(history, { ...options, anchorUs: originUs });
  for (const [name, days] of Object.entries(supplied)) {
    for (const day of days) forecaster.supply(name, day.originUs, day.hourly);
  }
  const forecast = forecaster.at(originUs, options);
  // After the forecast, so that none of them has a part in it.
  const beside = Object.entries(compared).flatMap(([name, day]): [string, readonly number[]][] => {
    forecaster.supply(name, day.originUs, day.hourly);
    const alone = forecaster.at(originUs, { ...options, members: [name], quantiles: [] });
    // What is absurd is overruled, and has no line.
    return alone.method === name ? [[name, alone.mean]] : [];
  });
  return beside.length === 0 ? forecast : { ...forecast, compared: Object.fromEntries(beside) };
}

export interface ForecasterOptions {
  readonly events?: readonly KnownEvent[];
  /** A time that whole hours are counted from; the history's start by default. */
  readonly anchorUs?: number;
  /** Longest horizon that will be asked for. A day by default. */
  readonly horizonSteps?: number;
  readonly stepUs?: number;
}

/** One hour from one origin: what `hourly` says of it, for error measures. */
export interface HourAhead {
  readonly forecast: number;
  /** As counted, NaN where it was not. */
  readonly counted: number;
  /** log ratio of the hour's peak to its line, as a score has it. */
  readonly peakRatio: number;
  /** The same for each asked quantile: the hour kept to it where `peakRatio` is not above. */
  readonly bounds: readonly number[];
}

export class Forecaster {
  readonly #series: Series;
  readonly #hours: Hours;
  readonly #fine: Fine;
  readonly #ensemble: Ensemble;
  readonly #horizonHours: number;

  constructor(series: Series, options: ForecasterOptions = {}) {
    const { events = [], anchorUs = series.startUs, stepUs = FINE_US } = options;
    const behind = (((anchorUs - series.startUs) % HOUR_US) + HOUR_US) % HOUR_US;
    const startUs = series.startUs + behind;
    this.#series = series;
    this.#hours = toHours(series, startUs, events);
    this.#fine = toFine(series, startUs, this.#hours.count.length);
    this.#horizonHours = horizonHours(options.horizonSteps, stepUs);
    const horizon = this.#horizonHours;
    this.#ensemble = new Ensemble(this.#hours, MEMBERS, CHAIN, { events, horizon });
  }

  get startUs(): number {
    return this.#hours.startUs;
  }

  /** Whole hours of history. */
  get hours(): number {
    return this.#hours.count.length;
  }

  /**
   * An outside member's requests per hour from the origin on. It is weighed once it has been
   * supplied for two earlier days, or at once where it is the only member asked for.
   */
  supply(name: string, originUs: number, hourly: readonly number[]): void {
    assert(hourly.length >= this.#horizonHours, "a supplied forecast covers the horizon");
    this.#ensemble.supply(name, this.#hourAt(originUs), Float64Array.from(hourly));
  }

  /** The forecast from the last whole hour at or before `originUs`, by what was known then. */
  at(originUs: number, options: ForecastOptions = {}): Forecast {
    const { stepUs = FINE_US, members = [] } = options;
    const lines = linesOf(options);
    const steps = options.horizonSteps ?? Math.round(DAY_US / stepUs);
    assert(HOUR_US % stepUs === 0, "a step divides an hour");
    assert(horizonHours(steps, stepUs) <= this.#horizonHours, "within the declared horizon");
    const origin = this.#hourAt(originUs);
    const startUs = this.#hours.startUs + origin * HOUR_US;
    if (origin === 0) return lastRate(this.#series, startUs, { stepUs, steps, lines });
    const mixture = this.#ensemble.mix(origin, members);
    const shape = shapeOfHour(this.#fine, this.#hours.count, origin);
    const fine = drawFine(mixture.hourly, this.#hours.count[origin - 1] as number, shape);
    const bounds = this.#bounds(origin, mixture, shape, lines);
    const perHour = this.#fine.perHour;
    const mean = Array.from({ length: steps }, (_, at) =>
      meanOver(fine, (at * stepUs) / this.#fine.stepUs, stepUs / this.#fine.stepUs),
    );
    const bands = lines.map((_, which): number[] => {
      const line = fine.map(
        (value, at) =>
          (value + 1) * Math.exp((bounds[Math.floor(at / perHour)] as number[])[which] as number) -
          1,
      );
      return mean.map((_expected, at) =>
        maxOver(line, (at * stepUs) / this.#fine.stepUs, stepUs / this.#fine.stepUs),
      );
    });
    const names = Object.keys(mixture.weights);
    return {
      startUs,
      stepUs,
      mean,
      ...bandsBy(lines, bands),
      method: names.length === 1 ? (names[0] as string) : "ensemble",
      weights: mixture.weights,
      ...(mixture.overruled.length > 0 && { overruled: mixture.overruled }),
    };
  }

  /** The day from an origin against what was counted, for measuring error and coverage. */
  judge(
    originUs: number,
    { members = [], quantiles = QUANTILES }: Pick<ForecastOptions, "members" | "quantiles"> = {},
  ): { readonly hours: readonly HourAhead[]; readonly mixture: Mixture } {
    const origin = this.#hourAt(originUs);
    assert(origin > 0, "an origin after at least one hour");
    const mixture = this.#ensemble.mix(origin, members);
    const shape = shapeOfHour(this.#fine, this.#hours.count, origin);
    const bounds = this.#bounds(origin, mixture, shape, quantiles.map(ofHours));
    const ratios = this.#peakRatios(origin, mixture.hourly, shape);
    const hours = Array.from({ length: DAY }, (_, lead) => ({
      forecast: mixture.hourly[lead] as number,
      counted: this.#hours.raw[origin + lead] ?? Number.NaN,
      peakRatio: ratios[lead] ?? Number.NaN,
      bounds: bounds[lead] as number[],
    }));
    return { hours, mixture };
  }

  #hourAt(us: number): number {
    const hour = Math.floor((us - this.#hours.startUs) / HOUR_US);
    return Math.max(0, Math.min(this.#hours.count.length, hour));
  }

  /** Log ratios per hour ahead and line. */
  #bounds(
    origin: number,
    { hourly, weights }: Mixture,
    shape: Float64Array,
    lines: readonly Line[],
  ): number[][] {
    const scores = this.#scores(origin, weights, shape);
    const { perHour } = this.#fine;
    if (scores.count < DAY) {
      const spread = spreadBefore(this.#series, this.#hours.startUs + origin * HOUR_US);
      return Array.from(hourly, (value, lead) =>
        lines.map((line) => untried(value / perHour, hoursOf(line), spread, lead)),
      );
    }
    const bounded = scores.count < WEEK ? tempered : capped;
    const peak = this.#peakBefore(origin);
    return Array.from(hourly, (value, lead) => {
      const ratios = ratioQuantiles(scores, Math.log1p(value), lead, lines);
      const fine = value / perHour;
      return ratios.map((ratio, at) => bounded(ratio, fine, hoursOf(lines[at] as Line), peak));
    });
  }

  /** The most of any fine step before the hour. */
  #peakBefore(origin: number): number {
    const { count, perHour } = this.#fine;
    let peak = 0;
    for (let at = 0; at < origin * perHour; at++)
      if ((count[at] as number) > peak) peak = count[at] as number;
    return peak;
  }

  /** What the same weights would have missed on the days before. */
  #scores(origin: number, weights: Readonly<Record<string, number>>, shape: Float64Array): Scores {
    const scores: Score[] = [];
    for (let ageDays = 1; ageDays <= CALIBRATED_DAYS; ageDays++) {
      const from = origin - ageDays * DAY;
      if (from < DAY) break;
      const hourly = this.#ensemble.blend(from, weights);
      const ratios = this.#peakRatios(from, hourly, shape);
      for (let lead = 0; lead < DAY; lead++) {
        const ratio = ratios[lead] as number;
        if (Number.isNaN(ratio)) continue;
        scores.push({ ratio, level: Math.log1p(hourly[lead] as number), lead, ageDays });
      }
    }
    return arrangeScores(scores);
  }

  #peakRatios(origin: number, hourly: Float64Array, shape: Float64Array): Float64Array {
    const { perHour, count } = this.#fine;
    const drawn = drawFine(hourly, this.#hours.count[origin - 1] ?? (hourly[0] as number), shape);
    return Float64Array.from({ length: DAY }, (_, lead) => {
      let peak = Number.NaN;
      for (let step = lead * perHour; step < (lead + 1) * perHour; step++) {
        const counted = count[origin * perHour + step] ?? Number.NaN;
        if (!(counted >= 0)) continue;
        const ratio = Math.log((counted + 1) / ((drawn[step] as number) + 1));
        if (!(ratio <= peak)) peak = ratio;
      }
      return peak;
    });
  }
}

const horizonHours = (steps: number | undefined, stepUs: number): number =>
  Math.max(DAY, Math.ceil(((steps ?? 0) * stepUs) / HOUR_US));

const ofHours = (quantile: number): Line => ({ quantile, of: "hours" });

const linesOf = ({
  quantiles = QUANTILES,
  requestQuantiles = [DEMAND],
}: ForecastOptions): Line[] => [
  ...quantiles.map(ofHours),
  ...requestQuantiles.map((quantile): Line => ({ quantile, of: "requests" })),
];

function bandsBy(
  lines: readonly Line[],
  bands: readonly (readonly number[])[],
): Required<Pick<Forecast, "quantiles" | "requestQuantiles">> {
  const by = (of: Line["of"]): Record<string, readonly number[]> =>
    Object.fromEntries(
      lines.flatMap((line, at) =>
        line.of === of ? [[String(line.quantile), bands[at] ?? []]] : [],
      ),
    );
  return { quantiles: by("hours"), requestQuantiles: by("requests") };
}

/**
 * Busy hours hold more than their share: a quarter of the requests come in a tenth of the hours.
 */
const HOURS_PER_REQUEST = 0.4;

/** The quantile of hours to take for a line while no hours were judged. */
const hoursOf = ({ quantile, of }: Line): number =>
  of === "hours" ? quantile : 1 - (1 - quantile) * HOURS_PER_REQUEST;

const UNKNOWN: Spread = { steps: 0, variance: 0 };

/** Before a day has been forecast and counted: log ratio of a line to `fine` requests per step. */
function untried(fine: number, quantile: number, spread = UNKNOWN, lead = 0): number {
  const above = deviationsOf(quantile) * fine * deviationAhead(fine, lead, spread);
  return Math.log((fine + above + 1) / (fine + 1));
}

/**
 * In the first week a few days' misses stand for all hours: that an idle hour woke up, a hundred
 * times its forecast, says nothing of a busy one. A line is at most what nothing known would give,
 * or the highest peak there was, and at least the noise of independent arrivals.
 */
function tempered(ratio: number, fine: number, quantile: number, peak: number): number {
  const noise = deviationsOf(quantile) * Math.sqrt(fine);
  const least = deviationsOf(quantile) === 0 ? ratio : Math.log((fine + noise + 1) / (fine + 1));
  return capped(Math.max(least, ratio), fine, quantile, peak);
}

/**
 * The hours in which the load rose for good were missed by as much as it rose, and weigh as much
 * more: on top of a mean that has followed they would stand for a peak that nobody has seen.
 */
function capped(ratio: number, fine: number, quantile: number, peak: number): number {
  return Math.min(ratio, Math.max(Math.log((peak + 1) / (fine + 1)), untried(fine, quantile)));
}

/** Mean over a stretch of fine steps, which may be shorter than one, times the stretch. */
function meanOver(fine: Float64Array, from: number, length: number): number {
  if (length < 1) return (fine[Math.floor(from + 1e-9)] as number) * length;
  let sum = 0;
  for (let at = Math.round(from); at < Math.round(from + length); at++) sum += fine[at] as number;
  return sum;
}

/** The peak fine rate within a stretch, as a count over the stretch. */
function maxOver(line: Float64Array, from: number, length: number): number {
  if (length < 1) return Math.max(0, line[Math.floor(from + 1e-9)] as number) * length;
  let max = 0;
  for (let at = Math.round(from); at < Math.round(from + length); at++) {
    max = Math.max(max, line[at] as number);
  }
  return max * length;
}

const LAST_US = 900_000_000;

/** Less than an hour of history: the rate of its last quarter of an hour. */
function lastRate(
  series: Series,
  startUs: number,
  asked: {
    readonly stepUs: number;
    readonly steps: number;
    readonly lines: readonly Line[];
  },
): Forecast {
  const known = series.values
    .slice(-Math.max(1, Math.round(LAST_US / series.stepUs)))
    .filter((value) => value >= 0);
  const rate = known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length);
  const value = (rate * asked.stepUs) / series.stepUs;
  const flat = (level: number): number[] => Array.from({ length: asked.steps }, () => level);
  const spread = spreadBefore(series, endUs(series));
  const bands = asked.lines.map((line) =>
    flat((value + 1) * Math.exp(untried(value, hoursOf(line), spread)) - 1),
  );
  return {
    startUs: Math.max(startUs, endUs(series)),
    stepUs: asked.stepUs,
    mean: flat(value),
    ...bandsBy(asked.lines, bands),
    method: known.length === 0 ? "none" : "last-value",
    weights: known.length === 0 ? {} : { "last-value": 1 },
  };
}
