/** `millrace forecast show`: a forecast as a table, in the terminal's dots, as an SVG or JSON. */

import { writeFileSync } from "node:fs";
import { type Forecast, fitForecast, type SuppliedDay } from "@millrace/forecasting";
import { Documents, openMinuteFacts } from "@millrace/history";
import {
  cutSeries,
  DAY_US,
  endUs,
  formatTimestamp,
  HOUR_US,
  mergeFacts,
  MINUTE_US,
  parseTimestampUs,
  resample,
  type Series,
  seriesOfFacts,
} from "@millrace/load-facts";
import { ProphetThread } from "@millrace/prophet";
import { subjects } from "@millrace/protocol";
import { type Series as ChartSeries, svgChart } from "@millrace/report";
import { formatTable } from "@millrace/std";
import { openCluster } from "./connect.ts";
import { CommandError, usageError, valueOf } from "./failure.ts";
import { prophetDay } from "./forecast-backtest.ts";
import { readForecast } from "./forecast-document.ts";
import { plot } from "./forecast-plot.ts";
import { describeRepairs, readEvents, readTrace } from "./load-file.ts";
import { splitModel } from "./names.ts";

interface ShowOptions {
  readonly csv?: string;
  readonly at?: string;
  readonly events?: string;
  readonly prophet?: true;
  readonly duplicates: string;
  readonly plot?: true;
  readonly svg?: string;
  readonly json?: true;
}

/** A forecast with what came before it, and after it where that is known. */
interface Shown {
  readonly name: string;
  readonly history: Series;
  readonly forecast: Forecast;
  readonly after: Series | undefined;
}

const SHOWN_US = 2 * DAY_US;
/** Six weeks, and three more of forecasts to calibrate on. */
const HISTORY_US_MAX = 63 * DAY_US;
const BAND = "0.95";

export async function runShow(model: string | undefined, options: ShowOptions): Promise<void> {
  if ((model === undefined) === (options.csv === undefined)) {
    throw usageError("a model or --csv FILE is to be shown, and not both", "name one of them");
  }
  const shown =
    options.csv === undefined
      ? await fromCluster(model ?? "")
      : await fromTrace(options.csv, options);
  if (options.json) {
    console.log(JSON.stringify(shown.forecast));
  } else {
    console.log(summary(shown));
    if (options.plot) console.log(`\n${terminalPlot(shown)}`);
    else console.log(`\n${hourTable(shown.forecast)}`);
  }
  if (options.svg !== undefined) {
    writeFileSync(options.svg, chart(shown));
    if (!options.json) console.log(`\nthe drawing is in ${options.svg}`);
  }
}

async function fromTrace(path: string, options: ShowOptions): Promise<Shown> {
  const { series, repairs } = readTrace(path, options);
  for (const line of describeRepairs(path, repairs)) console.error(line);
  const last = endUs(series);
  const asked = options.at === undefined ? last : parseTimestampUs(options.at);
  if (asked === undefined || asked <= series.startUs || asked > last) {
    const range = `${formatTimestamp(series.startUs)} to ${formatTimestamp(last)}`;
    throw usageError(`--at ${options.at} is no time in the trace`, `it goes from ${range}`);
  }
  const known = cutSeries(series, asked - HISTORY_US_MAX, asked);
  const compared = options.prophet ? { prophet: await fitBeside(known) } : {};
  const forecast = fitForecast(known, { events: readEvents(options.events), compared });
  const after = cutSeries(series, asked, asked + DAY_US);
  return {
    name: path,
    history: cutSeries(known, asked - SHOWN_US, asked),
    forecast,
    after: after.values.length === 0 ? undefined : after,
  };
}

async function fitBeside(history: Series): Promise<SuppliedDay> {
  await using prophet = new ProphetThread();
  const originUs = endUs(history);
  const day = await prophetDay(prophet, history, originUs, "multiplicative");
  return { originUs, hourly: valueOf(day) };
}

async function fromCluster(model: string): Promise<Shown> {
  const { name } = splitModel(model);
  await using cluster = await openCluster();
  const documents = await Documents.open(cluster.bus.connection);
  const forecast = await readForecast(documents, name);
  if (forecast === undefined) {
    throw new CommandError(
      `there is no forecast of ${name}`,
      "the forecaster makes one for every model with load; or show one of a trace with --csv",
    );
  }
  const facts = valueOf(
    await openMinuteFacts(cluster.bus.connection).read({ subject: subjects.loadMinute(name) }),
  );
  const toUs = Math.floor(forecast.startUs / MINUTE_US) * MINUTE_US;
  const counted = seriesOfFacts(mergeFacts(facts), name, {
    fromUs: toUs - SHOWN_US,
    toUs,
    spanUs: MINUTE_US,
  });
  return { name, history: resample(counted, forecast.stepUs), forecast, after: undefined };
}

function summary({ name, forecast }: Shown): string {
  const shares = Object.entries(forecast.weights)
    .map(([member, weight]) => `${member} ${Math.round(100 * weight)} %`)
    .join(", ");
  const total = forecast.mean.reduce((sum, value) => sum + value, 0);
  const lines = [
    `${name}: from ${formatTimestamp(forecast.startUs)}, ${Math.round(total)} requests in a day`,
    `  method ${forecast.method}${shares === "" ? "" : `: ${shares}`}`,
    ...(forecast.overruled ?? []).map((reason) => `  overruled: ${reason}`),
  ];
  return lines.join("\n");
}

/** Hours as rows: requests, and the rate of the busiest five minutes at each quantile. */
function hourTable({ compared = {}, startUs, stepUs, mean, quantiles }: Forecast): string {
  const perHour = Math.round(HOUR_US / stepUs);
  const names = Object.keys(quantiles);
  const head = [
    "hour from",
    "requests",
    ...Object.keys(compared),
    ...names.map((name) => `peak ${name}, 1/s`),
  ];
  const rows = Array.from({ length: Math.floor(mean.length / perHour) }, (_, hour) => {
    const within = (values: readonly number[]): readonly number[] =>
      values.slice(hour * perHour, (hour + 1) * perHour);
    const requests = [mean, ...Object.values(compared)].map((line) =>
      Math.round(within(line).reduce((sum, value) => sum + value, 0)),
    );
    const peaks = names.map((name) =>
      ((Math.max(...within(quantiles[name] ?? [])) * 1_000_000) / stepUs).toFixed(2),
    );
    return [formatTimestamp(startUs + hour * HOUR_US), ...requests, ...peaks];
  });
  return formatTable([head, ...rows]);
}

const SECOND_US = 1_000_000;
const perSecond = (values: readonly number[], stepUs: number): number[] =>
  values.map((value) => (value * SECOND_US) / stepUs);

const PLOT = { width: 96, height: 14 } as const;

function terminalPlot({ history, forecast, after }: Shown): string {
  // One grid for both: the finer of the two steps.
  const stepUs = Math.min(history.stepUs, forecast.stepUs);
  const stretch = (series: Series): number[] => {
    const per = Math.round(series.stepUs / stepUs);
    return perSecond(series.values, series.stepUs).flatMap((value) =>
      Array.from({ length: per }, () => value),
    );
  };
  const before = stretch(history);
  const blank = before.map(() => Number.NaN);
  const ahead = (values: readonly number[]): number[] =>
    stretch({ startUs: forecast.startUs, stepUs: forecast.stepUs, values });
  const lines = [
    { values: [...before, ...ahead(forecast.mean)], style: "line" as const },
    { values: [...blank, ...ahead(forecast.quantiles[BAND] ?? [])], style: "dots" as const },
    ...Object.values(forecast.compared ?? {}).map((values) => ({
      values: [...blank, ...ahead(values)],
      style: "dashes" as const,
    })),
    ...(after === undefined
      ? []
      : [{ values: [...blank, ...stretch(after)], style: "line" as const }]),
  ];
  const startUs = forecast.startUs - before.length * stepUs;
  const legend = `requests per second; line: counted, then expected; dots: ${BAND} quantile of the peak`;
  const drawn = plot(lines, { ...PLOT, startUs, stepUs, nowStep: before.length });
  const dashes = Object.keys(forecast.compared ?? {}).map((name) => `; dashes: ${name}`);
  return `${legend}${dashes.join("")}${after === undefined ? "" : "; second line: what came"}\n${drawn}`;
}

function chart({ name, history, forecast, after }: Shown): string {
  const points = (startUs: number, stepUs: number, values: readonly number[]) =>
    perSecond(values, stepUs).map((value, at): [number, number] => [startUs + at * stepUs, value]);
  const { mean, quantiles, startUs, stepUs } = forecast;
  const median = quantiles["0.5"] ?? mean;
  const upper = quantiles[BAND] ?? mean;
  const band = upper.map((high, at): [number, number, number] => [
    startUs + at * stepUs,
    ((median[at] ?? 0) * SECOND_US) / stepUs,
    (high * SECOND_US) / stepUs,
  ]);
  const counted = points(history.startUs, history.stepUs, history.values);
  const came = after === undefined ? [] : points(after.startUs, after.stepUs, after.values);
  const series: ChartSeries[] = [
    { name: `peak, median to ${BAND}`, kind: "range", points: band },
    { name: "counted", kind: "line", points: [...counted, ...came] },
    { name: "expected", kind: "line", points: points(startUs, stepUs, mean) },
    ...Object.entries(forecast.compared ?? {}).map(([method, values]) => ({
      name: method,
      kind: "line" as const,
      points: points(startUs, stepUs, values),
    })),
  ];
  return svgChart({
    title: `Forecast of ${name}`,
    width: 1100,
    height: 420,
    x: { kind: "time", label: "UTC" },
    y: { kind: "linear", label: "requests per second" },
    series,
  });
}
