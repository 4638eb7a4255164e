/** `millrace forecast backtest`: methods against traces, Prophet in its own thread among them. */

import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import {
  type Backtest,
  backtest,
  backtestOrigins,
  type BacktestRow,
  fitForecast,
  geometricMean,
  type KnownEvent,
  MEMBERS,
  type Method,
  METHODS,
} from "@millrace/forecasting";
import { cutSeries, DAY_US, endUs, HOUR_US, resample, type Series } from "@millrace/load-facts";
import { ProphetThread } from "@millrace/prophet";
import { type Fault } from "@millrace/protocol";
import { formatTable, ok, type Result } from "@millrace/std";
import { CommandError, usageError } from "./failure.ts";
import { describeRepairs, readEvents, readTrace } from "./load-file.ts";

interface BacktestOptions {
  readonly methods?: string;
  readonly json?: string;
  readonly events?: string;
  readonly duplicates: string;
}

/** Prophet as published (seasons multiply the trend), and on logarithms. */
const PROPHET = { prophet: "multiplicative", "prophet-log": "log" } as const;
type ProphetName = keyof typeof PROPHET;
const isProphet = (name: string): name is ProphetName => Object.hasOwn(PROPHET, name);

const BY_DEFAULT = [...METHODS.map(({ name }) => name), "prophet"];
const KNOWN: readonly Method[] = [
  ...METHODS,
  ...MEMBERS.map(({ name }) => ({ name, members: [name] })).filter(
    ({ name }) => !METHODS.some((method) => method.name === name),
  ),
];
export const METHOD_NAMES = [...KNOWN.map(({ name }) => name), ...Object.keys(PROPHET)];
const HISTORY_US_MAX = 42 * DAY_US;

interface Tested {
  readonly trace: string;
  readonly result: Backtest;
  /** What a reader of the rows must know of them, a line each. */
  readonly notes: readonly string[];
}

export async function runBacktest(
  paths: readonly string[],
  options: BacktestOptions,
): Promise<void> {
  const names = methodNames(options.methods);
  const events = readEvents(options.events);
  const traces = paths.map((path) => ({ path, ...readTrace(path, options) }));
  for (const { path, repairs } of traces) {
    for (const line of describeRepairs(path, repairs)) console.error(line);
  }
  await using prophet = new ProphetThread();
  const tested: Tested[] = [];
  const untested: string[] = [];
  for (const { path, series } of traces) {
    const made = await testTrace(basename(path), series, { names, events, prophet });
    if (!made.ok) {
      untested.push(`${path}: ${made.error}`);
      continue;
    }
    tested.push(made.value);
    console.log(render(made.value));
    if (names.includes("ensemble")) console.log(`${refitTime(series, events)}\n`);
  }
  const mean = tested.length > 1 ? geometricMean(tested.map(({ result }) => result)) : [];
  if (mean.length > 0) console.log(`geometric mean\n${renderRows(mean, "naive-168")}`);
  if (options.json !== undefined && tested.length > 0) {
    const rows = jsonRows(tested, mean, traces.length > 1);
    writeFileSync(options.json, `${JSON.stringify(rows, undefined, 2)}\n`);
  }
  if (untested.length > 0) {
    const remedy = tested.length > 0 ? "the others were tested; " : "";
    throw new CommandError(untested.join("\n"), `${remedy}give a longer trace, with requests`);
  }
}

function methodNames(text: string | undefined): readonly string[] {
  const names = text?.split(",").map((name) => name.trim()) ?? BY_DEFAULT;
  for (const name of names) {
    if (!METHOD_NAMES.includes(name)) {
      throw usageError(`no method ${JSON.stringify(name)}`, `there are ${METHOD_NAMES.join(", ")}`);
    }
  }
  return [...new Set(names)];
}

interface TestOptions {
  readonly names: readonly string[];
  readonly events: readonly KnownEvent[];
  readonly prophet: ProphetThread;
}

/** Fails, saying why, where there is nothing to test on; a fit that fails is a day of its row. */
async function testTrace(
  trace: string,
  series: Series,
  { names, events, prophet }: TestOptions,
): Promise<Result<Tested, string>> {
  const planned = backtestOrigins(series);
  if (!planned.ok) return planned;
  const { origins } = planned.value;
  const supplied: Record<string, readonly (readonly number[] | undefined)[]> = {};
  const reasons = new Map<string, string>();
  for (const name of names.filter(isProphet)) {
    const days: (readonly number[] | undefined)[] = [];
    for (const originUs of origins) {
      const day = await prophetDay(prophet, series, originUs, PROPHET[name]);
      days.push(day.ok ? day.value : undefined);
      if (!day.ok) reasons.set(name, day.error.message);
    }
    supplied[name] = days;
  }
  const methods = KNOWN.filter(({ name }) => names.includes(name));
  const result = backtest(series, methods, { events, supplied });
  if (!result.ok) return result;
  const { baseline, days, rows } = result.value;
  const notes = rows.flatMap(({ method, failedDays }) =>
    failedDays === undefined
      ? []
      : [
          `${method} failed on ${failedDays} of ${days} days, which count as ${baseline}'s: ` +
            `${reasons.get(method)}`,
        ],
  );
  return ok({ trace, result: result.value, notes });
}

/** Prophet sees the same hours as the others: six weeks that end with the origin. */
export async function prophetDay(
  prophet: ProphetThread,
  series: Series,
  originUs: number,
  mode: (typeof PROPHET)[ProphetName],
): Promise<Result<number[], Fault>> {
  const fromUs = Math.max(series.startUs, originUs - HISTORY_US_MAX);
  const history = cutSeries(series, fromUs, originUs);
  // From 0 on, because resampling is on the grid of whole hours and the trace may start between.
  const { values } = resample({ ...history, startUs: 0 }, HOUR_US);
  const startS = Math.round(fromUs / 1_000_000);
  return prophet.forecast({ startS, stepS: 3600, values, horizon: 24, mode });
}

const REFITS = 15;

/**
 * What a live forecaster pays each hour, from nothing: the last hours' fits, timed. Its own
 * thread's time says what a fit takes where other work does not share the core.
 */
function refitTime(series: Series, events: readonly KnownEvent[]): string {
  const times = Array.from({ length: REFITS }, (_, hour) => {
    const toUs = endUs(series) - hour * HOUR_US;
    const history = cutSeries(series, toUs - HISTORY_US_MAX, toUs);
    const before = process.threadCpuUsage();
    const startedMs = performance.now();
    fitForecast(history, { events });
    const elapsedMs = performance.now() - startedMs;
    const { user, system } = process.threadCpuUsage(before);
    return { elapsedMs, busyMs: (user + system) / 1_000 };
  });
  const median = (values: readonly number[]): string =>
    (values.toSorted((a, b) => a - b)[Math.floor(REFITS / 2)] ?? 0).toFixed(0);
  const elapsed = median(times.map(({ elapsedMs }) => elapsedMs));
  const busy = median(times.map(({ busyMs }) => busyMs));
  return `  a refit takes ${elapsed} ms, ${busy} of them computing (medians of ${REFITS})`;
}

function render({ trace, result, notes }: Tested): string {
  const { baseline, days, skippedDays } = result;
  const against =
    baseline === "naive-168"
      ? "the same hour last week"
      : "the same hour yesterday, as it is too short for last week";
  const leftOut = skippedDays === 0 ? "" : `; ${skippedDays} days without counts are left out`;
  return [
    `${trace}: ${days} days ahead, against ${against}${leftOut}`,
    renderRows(result.rows, baseline),
    ...notes.map((note) => `  ${note}`),
  ].join("\n");
}

function renderRows(rows: readonly BacktestRow[], baseline: Backtest["baseline"]): string {
  const ratio = baseline === "naive-168" ? "ratio to last week" : "ratio to yesterday";
  return formatTable([
    ["  method", "WAPE", ratio, "coverage of 95 %"],
    ...rows.map((row) => [
      `  ${row.method}`,
      `${(100 * row.wape).toFixed(1)} %`,
      row.ratioToLastWeek.toFixed(3),
      `${(100 * row.coverage95).toFixed(1)} %`,
    ]),
  ]);
}

function jsonRows(
  tested: readonly Tested[],
  mean: readonly BacktestRow[],
  namesTraces: boolean,
): object[] {
  if (!namesTraces) return tested.flatMap(({ result }) => result.rows);
  return [
    ...tested.flatMap(({ trace, result }) => result.rows.map((row) => ({ trace, ...row }))),
    ...mean.map((row) => ({ trace: "geometric mean", ...row })),
  ];
}
