/** A period's account: everything that the table, the page and the JSON of `millrace cost` show. */

import {
  type Alarm,
  type Baseline,
  type BaselineName,
  bookEntries,
  type CostReport,
  decideAlarm,
  ledgerOf,
  type PriceBook,
  reportCosts,
  staticBaseline,
  unpricedWorkers,
  utilisationOf,
} from "@millrace/costing";
import { endOfMonth, type Period } from "./cost-ledger.ts";

export interface Costs {
  readonly period: Period;
  readonly prices: PriceBook;
  readonly report: CostReport;
  /** Undefined where nothing that ran has a price to compare with. */
  readonly baseline: Baseline | undefined;
  readonly baselineName: BaselineName;
  readonly unpriced: ReturnType<typeof unpricedWorkers>;
  /** Share of paid worker time in which something ran. */
  readonly utilisation: number | undefined;
  readonly alarm: Alarm | undefined;
}

export function accountFor(options: {
  readonly period: Period;
  readonly prices: PriceBook;
  readonly baseline: BaselineName;
  readonly budgetMicros: number | undefined;
}): Costs {
  const { period, prices } = options;
  const { facts, fromUs, toUs, workers } = period;
  const unpriced = unpricedWorkers(workers, prices);
  const priced = workers.filter(
    (entry) =>
      !unpriced.some(
        ({ kind, zone, lifecycle }) =>
          kind === entry.kind && zone === entry.zone && lifecycle === entry.lifecycle,
      ),
  );
  const booked = bookEntries(ledgerOf(priced, facts), prices);
  const baseline = staticBaseline(options.baseline, priced, facts, prices);
  return {
    period,
    prices,
    report: reportCosts(booked, toUs - fromUs, prices, baseline),
    baseline,
    baselineName: options.baseline,
    unpriced,
    utilisation: utilisationOf(workers, facts),
    alarm: alarmOf(period, prices, options.budgetMicros),
  };
}

function alarmOf(
  { month, toUs }: Period,
  prices: PriceBook,
  micros: number | undefined,
): Alarm | undefined {
  if (month === undefined || micros === undefined) return undefined;
  const spent = bookEntries(ledgerOf(month.workers, month.facts), prices).micros;
  const budget = { micros, startUs: month.fromUs, endUs: endOfMonth(toUs - 1) };
  return decideAlarm(budget, spent, toUs, "none");
}
