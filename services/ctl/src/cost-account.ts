/** A period's account: everything that the table, the page and the JSON of `millrace cost` show. */

import {
  type Alarm,
  type Baseline,
  type BaselineName,
  type BookedPeriod,
  bookPeriod,
  type CostReport,
  decideAlarm,
  type PriceBook,
  reportCosts,
  staticBaseline,
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
  readonly unpriced: BookedPeriod["unpriced"];
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
  const { booked, priced, unpriced } = bookPeriod(workers, facts, prices);
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
  const spent = bookPeriod(month.workers, month.facts, prices).booked.micros;
  const budget = { micros, startUs: month.fromUs, endUs: endOfMonth(toUs - 1) };
  const sinceUs = month.workers.reduce((first, { atUs }) => Math.min(first, atUs), toUs);
  return decideAlarm(budget, spent, toUs, "none", { sinceUs });
}
