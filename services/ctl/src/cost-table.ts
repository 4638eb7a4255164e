/** An account for the terminal and for programs. */

import { type CostRow, MICROS, offerKey } from "@millrace/costing";
import { formatTimestamp } from "@millrace/load-facts";
import { formatBytes, formatTable } from "@millrace/std";
import type { Costs } from "./cost-account.ts";

const HOUR_MS = 3_600_000;
const HOUR_US = 3_600_000_000;
/** Rows of a table in the terminal; the files have all. */
const ROWS_MAX = 20;

/** Four places: what a thousand requests cost is often less than a cent. */
export const money = (micros: number): string => `$${(micros / MICROS).toFixed(4)}`;
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
export const hours = (workerMs: number): string => (workerMs / HOUR_MS).toFixed(2);

export function describeCosts(costs: Costs): string {
  const { report } = costs;
  return [
    ...headline(costs),
    "",
    placeTable(costs),
    ...[
      ["model", report.byModel] as const,
      ["tenant", report.byTenant] as const,
      ["priority", report.byPriority] as const,
    ].map(([title, rows]) => `\n${accountTable(title, rows, report.micros)}`),
    "",
    ...remarks(costs),
  ].join("\n");
}

export function headline({ period, prices, report, utilisation }: Costs): string[] {
  const { fromUs, toUs } = period;
  const { all } = report;
  const per = all.microsPer1000 === undefined ? "" : `, ${money(all.microsPer1000)} per 1,000`;
  const span = `${((toUs - fromUs) / HOUR_US).toFixed(1)} h`;
  return [
    `${formatTimestamp(fromUs)} to ${formatTimestamp(toUs)} (${span}), prices: ${prices.name}`,
    `${money(report.micros)} in all; ${all.requests} requests${per}; ` +
      (utilisation === undefined
        ? "no worker time"
        : `${percent(utilisation)} of the worker time in use, ${percent(1 - utilisation)} idle`),
  ];
}

function placeTable({ prices, report, unpriced }: Costs): string {
  const perHour = new Map(prices.offers.map((offer) => [offerKey(offer), offer.microsPerHour]));
  const places = report.places.toSorted((a, b) => b.micros - a.micros);
  return formatTable([
    ["kind", "zone", "lifecycle", "worker h", "$/h", "cost", "share"],
    ...places.map((place) => [
      place.kind,
      place.zone,
      place.lifecycle,
      hours(place.workerMs),
      money(perHour.get(offerKey(place)) ?? 0),
      money(place.micros),
      shareOf(place.micros, report.micros),
    ]),
    ...unpriced.map(({ kind, zone, lifecycle, workerMs }) => [
      kind,
      zone,
      lifecycle,
      hours(workerMs),
      "unpriced",
      "unpriced",
      "",
    ]),
  ]);
}

export const shareOf = (micros: number, all: number): string =>
  all === 0 ? "" : percent(micros / all);

function accountTable(title: string, rows: readonly CostRow[], all: number): string {
  const shown = rows.slice(0, ROWS_MAX);
  const table = formatTable([
    [title, "requests", "tokens", "cost", "per 1,000", "share"],
    ...shown.map((row) => [
      row.name,
      row.requests,
      row.tokens,
      money(row.micros),
      row.microsPer1000 === undefined ? "" : money(row.microsPer1000),
      shareOf(row.micros, all),
    ]),
  ]);
  const left = rows.length - shown.length;
  return left === 0 ? table : `${table}\n... and ${left} more; --json FILE has all`;
}

const LEVELS = { none: "holds", projected: "will be exceeded", exceeded: "exceeded" } as const;

/** What was saved, what is not in the sums, and whether the budget holds. */
export function remarks(costs: Costs): string[] {
  const { alarm, baseline, baselineName, period, prices, report, unpriced } = costs;
  const lines: string[] = [];
  if (baseline !== undefined && report.baseline !== undefined) {
    const { micros, savedShare } = report.baseline;
    const saved =
      savedShare >= 0 ? `${percent(savedShare)} less than` : `${percent(-savedShare)} more than`;
    lines.push(
      `saving: ${saved} ${baseline.name} (${baseline.workers} ${baseline.kind}, on demand, ` +
        `all the time: ${money(micros)}; its count is the P99.9 minute of device time at 90 % use` +
        `${baselineName === "static-headroom" ? ", times 1.5" : ""})`,
    );
  } else {
    lines.push(`saving: nothing that ran has an on-demand price to compare ${baselineName} with`);
  }
  const crossed = crossedBytes(period);
  lines.push(
    `across zones: ${formatBytes(crossed)} for ${money(report.crossingMicros)} ` +
      `(${money(prices.crossingMicrosPerGb)} a GB)`,
  );
  lines.push(...leftOut(unpriced, report.refused));
  if (alarm !== undefined) lines.push(`budget: ${LEVELS[alarm.level]}: ${alarm.message}`);
  return lines;
}

/** What is in no sum, and why. */
export function leftOut(unpriced: Costs["unpriced"], refused: readonly string[]): string[] {
  const lines = refused.map((reason) => `refused: ${reason}`);
  if (unpriced.length === 0) return lines;
  const kinds = [...new Set(unpriced.map(({ kind }) => kind))].join(", ");
  return [
    `unpriced: the price book has no such offer for ${kinds}; their time is in no sum. ` +
      "Name a book that has with --price-book FILE",
    ...lines,
  ];
}

/** Of requests and answers, and of models that workers fetched. */
const crossedBytes = ({ facts, workers }: Costs["period"]): number =>
  [...facts, ...workers].reduce((sum, { crossingBytes }) => sum + crossingBytes, 0);

/** Money as whole micro-dollars, in `...Micros`. */
export function costJson(costs: Costs): object {
  const { alarm, baseline, period, prices, report, unpriced, utilisation } = costs;
  const { fromUs, toUs } = period;
  const rows = (of: readonly CostRow[]): object[] =>
    of.map(({ micros, microsPer1000, ...row }) => ({
      ...row,
      costMicros: micros,
      ...(microsPer1000 === undefined ? {} : { per1000Micros: Math.round(microsPer1000) }),
    }));
  return {
    from: formatTimestamp(fromUs),
    to: formatTimestamp(toUs),
    priceBook: prices.name,
    costMicros: report.micros,
    crossingMicros: report.crossingMicros,
    crossingBytes: crossedBytes(period),
    requests: report.all.requests,
    utilisation,
    idleShare: utilisation === undefined ? undefined : 1 - utilisation,
    places: report.places.map(({ micros, ...place }) => ({ ...place, costMicros: micros })),
    unpriced,
    byModel: rows(report.byModel),
    byTenant: rows(report.byTenant),
    byPriority: rows(report.byPriority),
    baseline:
      baseline === undefined || report.baseline === undefined
        ? undefined
        : {
            ...baseline,
            costMicros: report.baseline.micros,
            savedShare: report.baseline.savedShare,
          },
    budget:
      alarm === undefined
        ? undefined
        : { level: alarm.level, projectedMicros: alarm.projectedMicros, message: alarm.message },
    refused: report.refused,
  };
}
