/** An account as one HTML file: figures and tables, and load, fleet, use and cost over time. */

import type { Bus } from "@millrace/bus";
import { type CostRow, MICROS, offerKey } from "@millrace/costing";
import type { Forecast } from "@millrace/forecasting";
import { Documents } from "@millrace/history";
import { MINUTE_US } from "@millrace/load-facts";
import type { LedgerEntry } from "@millrace/protocol";
import {
  type Block,
  type Cell,
  htmlPage,
  type Series,
  SERIES_MAX,
  svgChart,
  type Toned,
} from "@millrace/report";
import type { Costs } from "./cost-account.ts";
import { headline, hours, money, percent, remarks, shareOf } from "./cost-table.ts";
import { readForecast } from "./forecast-document.ts";

const WIDTH = 1_000;
const HEIGHT = 300;
const HOUR_US = 3_600_000_000;
const SECOND_US = 1_000_000;
/** Beyond these a chart's lines are finer than its pixels. */
const POINTS_MAX = 500;
/** Models with a chart of their own: those that cost most. */
const MODELS_SHOWN = 4;
const BAND = "0.95";

export async function costPage(costs: Costs, connection: Bus["connection"]): Promise<string> {
  const { report, utilisation } = costs;
  const saved = report.baseline;
  const models = report.byModel.filter(({ requests }) => requests > 0).slice(0, MODELS_SHOWN);
  const loads: Block[] = [];
  const documents = await Documents.open(connection);
  for (const { name } of models) {
    loads.push(loadChart(costs, name, await readForecast(documents, name)));
  }
  const [period = ""] = headline(costs);
  return htmlPage({
    title: "What the fleet cost",
    ...(saved === undefined ? {} : { summary: summaryOf(report.micros, saved) }),
    sections: [
      {
        title: "In all",
        blocks: [
          { type: "text", text: period },
          {
            type: "figures",
            figures: [
              ["cost", money(report.micros)],
              ["requests", report.all.requests],
              ["per 1,000 requests", money(report.all.microsPer1000 ?? 0)],
              ["idle share", utilisation === undefined ? "-" : percent(1 - utilisation)],
            ],
          },
          ...remarks(costs).map((text): Block => ({ type: "text", text })),
        ],
      },
      { title: "Cost against the baseline", blocks: [costChart(costs)] },
      { title: "Load and forecast", blocks: loads },
      { title: "Fleet", blocks: [fleetChart(costs), useChart(costs), placeBlock(costs)] },
      ...(
        [
          ["By model", report.byModel],
          ["By tenant", report.byTenant],
          ["By priority", report.byPriority],
        ] as const
      ).map(([title, rows]) => ({ title, blocks: [accountBlock(rows, report.micros)] })),
    ],
  });
}

function summaryOf(
  micros: number,
  { name, savedShare }: NonNullable<Costs["report"]["baseline"]>,
): Toned {
  const cheaper = savedShare >= 0;
  const apart = `${percent(Math.abs(savedShare))} ${cheaper ? "less" : "more"}`;
  return { text: `${money(micros)}, ${apart} than ${name}`, tone: cheaper ? "good" : "bad" };
}

/** Sums of even steps over the period, at the start of each; `whole` has those not cut short. */
function stepped(
  { period: { fromUs, toUs } }: Costs,
  items: Iterable<readonly [atUs: number, amount: number]>,
): { readonly stepUs: number; readonly points: [number, number][]; whole: [number, number][] } {
  const stepUs = Math.ceil((toUs - fromUs) / POINTS_MAX / MINUTE_US) * MINUTE_US;
  const sums = Array.from({ length: Math.ceil((toUs - fromUs) / stepUs) }, () => 0);
  for (const [atUs, amount] of items) {
    const at = Math.floor((atUs - fromUs) / stepUs);
    sums[at] = (sums[at] ?? 0) + amount;
  }
  const points = sums.map((sum, at): [number, number] => [fromUs + at * stepUs, sum]);
  return { stepUs, points, whole: points.filter(([atUs]) => atUs + stepUs <= toUs) };
}

const scaledBy = (points: readonly [number, number][], factor: number): [number, number][] =>
  points.map(([atUs, value]) => [atUs, value * factor]);

function chart(title: string, label: string, series: readonly Series[]): Block {
  const svg = svgChart({
    title,
    width: WIDTH,
    height: HEIGHT,
    x: { kind: "time", label: "UTC" },
    y: { kind: "linear", label },
    series: series.slice(0, SERIES_MAX),
  });
  const names = series.map((each) => each.name).join(", ");
  return { type: "chart", svg, alternative: `${title}: ${names} over time` };
}

/** The band is the forecast that is kept now; what was expected before is not. */
function loadChart(costs: Costs, model: string, forecast: Forecast | undefined): Block {
  const facts = costs.period.facts.filter((fact) => fact.model === model);
  const { stepUs, whole } = stepped(
    costs,
    facts.map(({ atUs, arrivals }) => [atUs, arrivals]),
  );
  const series: Series[] = [];
  if (forecast !== undefined) {
    const { mean, quantiles, startUs, stepUs: step } = forecast;
    const rate = (counts: readonly number[], at: number): number =>
      ((counts[at] ?? 0) * SECOND_US) / step;
    series.push({
      name: `forecast of the peak, median to ${BAND}`,
      kind: "range",
      points: mean.map((_, at): [number, number, number] => [
        startUs + at * step,
        rate(quantiles["0.5"] ?? mean, at),
        rate(quantiles[BAND] ?? mean, at),
      ]),
    });
  }
  series.push({ name: "load", kind: "line", points: scaledBy(whole, SECOND_US / stepUs) });
  return chart(`Load of ${model}`, "requests/s", series);
}

const placeName = ({ kind, lifecycle, zone }: LedgerEntry): string =>
  `${kind}, ${lifecycle}, ${zone}`;

function fleetChart(costs: Costs): Block {
  const byPlace = Map.groupBy(costs.period.workers, placeName);
  const series = [...byPlace].map(([name, minutes]): Series => {
    const { stepUs, whole } = stepped(
      costs,
      minutes.map(({ atUs, workerUs }) => [atUs, workerUs]),
    );
    return { name, kind: "step", points: scaledBy(whole, 1 / stepUs) };
  });
  return chart("Fleet by kind", "workers", series);
}

function useChart(costs: Costs): Block {
  const { facts, workers } = costs.period;
  const used = stepped(
    costs,
    facts.map(({ atUs, computeUs }) => [atUs, computeUs]),
  ).points;
  const paid = stepped(
    costs,
    workers.map(({ atUs, workerUs }) => [atUs, workerUs]),
  ).points;
  const points = used.map(([atUs, us], at): [number, number] => {
    const paidUs = paid[at]?.[1] ?? 0;
    return [atUs, paidUs === 0 ? Number.NaN : (100 * us) / paidUs];
  });
  return chart("Utilisation of paid worker time", "per cent", [
    { name: "utilisation", kind: "line", points },
  ]);
}

function costChart(costs: Costs): Block {
  const { baseline, period, prices, report } = costs;
  const perHour = new Map(prices.offers.map((offer) => [offerKey(offer), offer.microsPerHour]));
  const { points } = stepped(
    costs,
    period.workers.map((entry) => [
      entry.atUs,
      ((perHour.get(offerKey(entry)) ?? 0) * entry.workerUs) / HOUR_US,
    ]),
  );
  let sum = 0;
  const so = points.map(([atUs, micros]): [number, number] => [atUs, (sum += micros) / MICROS]);
  const series: Series[] = [{ name: "worker time", kind: "line", points: so }];
  if (baseline !== undefined && report.baseline !== undefined) {
    const { fromUs, toUs } = period;
    const name = `${baseline.name}: ${baseline.workers} ${baseline.kind}`;
    const end = report.baseline.micros / MICROS;
    series.push({
      name,
      kind: "line",
      points: [
        [fromUs, 0],
        [toUs, end],
      ],
    });
  }
  return chart("Cost so far", "dollars", series);
}

function placeBlock({ report, unpriced }: Costs): Block {
  return {
    type: "table",
    head: ["kind", "zone", "lifecycle", "worker h", "cost", "share"],
    rows: [
      ...report.places.map((place): Cell[] => [
        place.kind,
        place.zone,
        place.lifecycle,
        Number(hours(place.workerMs)),
        money(place.micros),
        shareOf(place.micros, report.micros),
      ]),
      ...unpriced.map(({ kind, zone, lifecycle, workerMs }): Cell[] => [
        kind,
        zone,
        lifecycle,
        Number(hours(workerMs)),
        { text: "unpriced", tone: "bad" },
        "",
      ]),
    ],
  };
}

function accountBlock(rows: readonly CostRow[], all: number): Block {
  return {
    type: "table",
    head: ["name", "requests", "tokens", "cost", "per 1,000", "share"],
    rows: rows.map((row): Cell[] => [
      row.name,
      row.requests,
      row.tokens,
      money(row.micros),
      row.microsPer1000 === undefined ? "" : money(row.microsPer1000),
      shareOf(row.micros, all),
    ]),
  };
}
