/**
 * How good methods are on a trace: from an origin every day, a day ahead, each method by what it
 * would have known then, six weeks of history at most.
 */

import { fail, ok, type Result } from "@millrace/std";
import { cutSeries, DAY_US, endUs, type Series } from "@millrace/load-facts";
import { Forecaster } from "./forecaster.ts";
import { DAY } from "./hours.ts";
import type { KnownEvent } from "./events.ts";

export interface Method {
  readonly name: string;
  /** Members of the ensemble that it is; all where empty. */
  readonly members: readonly string[];
}

export const METHODS: readonly Method[] = [
  { name: "ensemble", members: [] },
  { name: "naive-168", members: ["naive-168"] },
  { name: "naive-24", members: ["naive-24"] },
  { name: "holt-winters", members: ["holt-winters-168"] },
];

export interface BacktestRow {
  readonly method: string;
  /** Sum of absolute errors over sum of counts, by hours. */
  readonly wape: number;
  /**
   * Its `wape` over that of the baseline, which is the same hour last week. Less than
   * {@link WAPE_LEAST} counts as that much on both sides, so that a load which last week foretells
   * has a ratio, too.
   */
  readonly ratioToLastWeek: number;
  /** Share of hours of which no five minutes exceeded the 95 % quantile. */
  readonly coverage95: number;
  /** Days that it made no forecast of, where the baseline stood in; left out without any. */
  readonly failedDays?: number;
}

/** A hundredth of a per cent: what the error of a method is not told apart below. */
const WAPE_LEAST = 0.0001;

export interface Backtest {
  readonly rows: readonly BacktestRow[];
  /** Days that were forecast. */
  readonly days: number;
  /** Days that were not, as nothing was counted on them. */
  readonly skippedDays: number;
  /** `naive-24` where the trace is too short for last week. */
  readonly baseline: "naive-168" | "naive-24";
}

export interface Origins {
  readonly origins: readonly number[];
  readonly skippedDays: number;
  readonly baseline: Backtest["baseline"];
}

/** Days of history before the first origin: two weeks and a day where the trace has them. */
const SEEN_DAYS = { long: 15, middle: 8, short: 2 } as const;
const LONG_DAYS = 21;
const MIDDLE_DAYS = 9;
const SHORT_DAYS = 4;

/**
 * When a trace is forecast: every day once 15 days are seen, or 8 where it spans less than three
 * weeks. Below nine days there is no last week to compare with: then from the third day on, against
 * yesterday. A day of which the trace says nothing is left out. Fails, saying what is needed, for
 * fewer than four days.
 */
export function backtestOrigins(series: Series): Result<Origins, string> {
  const days = (endUs(series) - series.startUs) / DAY_US;
  if (days < SHORT_DAYS) {
    const has = days < 1 ? `${(days * DAY).toFixed(1)} hours` : `${days.toFixed(1)} days`;
    return fail(
      `the trace spans ${has}; a backtest needs ${SHORT_DAYS} days, and ${MIDDLE_DAYS} to compare with the same hour last week`,
    );
  }
  const size = days >= LONG_DAYS ? "long" : days >= MIDDLE_DAYS ? "middle" : "short";
  const first = SEEN_DAYS[size];
  const count = Math.floor(days - first);
  const origins = Array.from(
    { length: count },
    (_, day) => series.startUs + (first + day) * DAY_US,
  ).filter((originUs) => cutSeries(series, originUs, originUs + DAY_US).values.some(isCounted));
  const skippedDays = count - origins.length;
  return ok({ origins, skippedDays, baseline: size === "short" ? "naive-24" : "naive-168" });
}

const isCounted = (value: number): boolean => !Number.isNaN(value);

/**
 * Hours per day from each origin, made elsewhere: by a method that this library does not have. A
 * day that it failed on is undefined: the baseline's hours stand in, and the row says so.
 */
export type Supplied = Readonly<Record<string, readonly (readonly number[] | undefined)[]>>;

/** @param supplied by method, in the order of {@link backtestOrigins} */
export function backtest(
  series: Series,
  methods: readonly Method[],
  { events = [], supplied = {} }: { events?: readonly KnownEvent[]; supplied?: Supplied } = {},
): Result<Backtest, string> {
  const planned = backtestOrigins(series);
  if (!planned.ok) return planned;
  const { origins, baseline, skippedDays } = planned.value;
  const forecaster = new Forecaster(series, { events });
  const base = measure(forecaster, origins, [baseline]);
  const rows = methods.map(({ name, members }) => row(name, measure(forecaster, origins, members)));
  for (const [name, days] of Object.entries(supplied)) {
    // Its own forecaster, so that the ensemble does not take it for a member.
    const own = new Forecaster(series, { events });
    let failedDays = 0;
    for (const [at, originUs] of origins.entries()) {
      if (days[at] === undefined) failedDays++;
      own.supply(name, originUs, days[at] ?? baselineDay(originUs));
    }
    const measured = row(name, measure(own, origins, [name]));
    rows.push(failedDays === 0 ? measured : { ...measured, failedDays });
  }
  function baselineDay(originUs: number): readonly number[] {
    return [...forecaster.judge(originUs, { members: [baseline], quantiles: [] }).mixture.hourly];
  }
  function row(method: string, measured: Measured): BacktestRow {
    return {
      method,
      wape: measured.wape,
      ratioToLastWeek: Math.max(WAPE_LEAST, measured.wape) / Math.max(WAPE_LEAST, base.wape),
      coverage95: measured.coverage95,
    };
  }
  if (!(base.counted > 0)) return fail("the days to forecast have no requests at all");
  return ok({ rows, days: origins.length, skippedDays, baseline });
}

interface Measured {
  readonly wape: number;
  readonly coverage95: number;
  readonly counted: number;
}

function measure(
  forecaster: Forecaster,
  origins: readonly number[],
  members: readonly string[],
): Measured {
  let missed = 0;
  let counted = 0;
  let kept = 0;
  let judged = 0;
  for (const originUs of origins) {
    for (const hour of forecaster.judge(originUs, { members, quantiles: [0.95] }).hours) {
      if (!Number.isNaN(hour.counted)) {
        missed += Math.abs(hour.forecast - hour.counted);
        counted += hour.counted;
      }
      if (Number.isNaN(hour.peakRatio)) continue;
      judged++;
      if (hour.peakRatio <= (hour.bounds[0] as number)) kept++;
    }
  }
  return {
    wape: missed / Math.max(1e-9, counted),
    coverage95: kept / Math.max(1, judged),
    counted,
  };
}

/** A row per method of the geometric means over traces; coverage is averaged, days are added. */
export function geometricMean(tests: readonly Backtest[]): BacktestRow[] {
  const methods = tests[0]?.rows.map(({ method }) => method) ?? [];
  return methods.map((method) => {
    const rows = tests.flatMap(({ rows: each }) => each.filter((row) => row.method === method));
    const mean = (value: (row: BacktestRow) => number): number =>
      rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
    const failedDays = rows.reduce((sum, row) => sum + (row.failedDays ?? 0), 0);
    return {
      method,
      wape: Math.exp(mean((row) => Math.log(Math.max(1e-9, row.wape)))),
      ratioToLastWeek: Math.exp(mean((row) => Math.log(Math.max(1e-9, row.ratioToLastWeek)))),
      coverage95: mean((row) => row.coverage95),
      ...(failedDays > 0 && { failedDays }),
    };
  });
}
