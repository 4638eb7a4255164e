/**
 * Load facts: added up without counting anything twice, rolled up to hours, and as CSV and series.
 */

import { assert } from "@millrace/std";
import { LOAD_AMOUNTS, type LoadAmount, type LoadFact, type Priority } from "@millrace/protocol";
import { HOUR_US, MINUTE_US, type Series } from "./series.ts";
import type { Trace } from "./trace.ts";

/** What makes two facts the same one, delivered twice or corrected. */
export const factKey = (fact: LoadFact): string => {
  const { model, priority, source, tenant = "", kind = "", atUs, spanUs } = fact;
  return [model, priority, source, tenant, kind, atUs, spanUs].join(" ");
};

type Amounts = Readonly<Record<LoadAmount, number>>;

const eachAmount = (value: (name: LoadAmount) => number): Amounts =>
  Object.fromEntries(LOAD_AMOUNTS.map((name) => [name, value(name)])) as Amounts;

/** Two facts of one model, priority and span as one; it keeps the first one's source. */
export function addFact(one: LoadFact, other: LoadFact): LoadFact {
  assert(one.model === other.model && one.priority === other.priority, "facts of one model");
  return { ...one, ...eachAmount((name) => one[name] + other[name]) };
}

/**
 * One fact per model, priority, kind and span, over all sources and tenants, in order of time. Of
 * facts with the same key the last one given stands: a source repeats a minute after a restart with
 * what it knows then.
 */
export function mergeFacts(facts: Iterable<LoadFact>, source = "all"): LoadFact[] {
  const once = new Map<string, LoadFact>();
  for (const fact of facts) once.set(factKey(fact), fact);
  return sumBy(once.values(), (fact) => {
    const { tenant, ...rest } = fact;
    return tenant === undefined ? { ...fact, source } : { ...rest, source };
  });
}

/** Minutes as hours, per source, tenant and kind. Give each fact once: see {@link mergeFacts}. */
export function rollUp(facts: Iterable<LoadFact>): LoadFact[] {
  return sumBy(facts, (fact) => ({
    ...fact,
    atUs: Math.floor(fact.atUs / HOUR_US) * HOUR_US,
    spanUs: HOUR_US,
  }));
}

function sumBy(facts: Iterable<LoadFact>, place: (fact: LoadFact) => LoadFact): LoadFact[] {
  const sums = new Map<string, LoadFact>();
  for (const fact of facts) {
    const placed = place(fact);
    const key = factKey(placed);
    const before = sums.get(key);
    sums.set(key, before === undefined ? placed : addFact(before, placed));
  }
  return [...sums.values()].sort((a, b) => a.atUs - b.atUs || (factKey(a) < factKey(b) ? -1 : 1));
}

/**
 * Arrivals per span of one model, all priorities and sources together, from `fromUs` up to `toUs`.
 * A span without any fact is missing where no model has one (nobody was counting), else 0.
 */
export function seriesOfFacts(
  facts: readonly LoadFact[],
  model: string,
  { fromUs, toUs, spanUs }: { readonly fromUs: number; readonly toUs: number; spanUs: number },
): Series {
  const values = Array.from({ length: Math.floor((toUs - fromUs) / spanUs) }, () => Number.NaN);
  for (const fact of facts) {
    const at = Math.floor((fact.atUs - fromUs) / spanUs);
    if (fact.spanUs !== spanUs || at < 0 || at >= values.length) continue;
    const before = values[at] as number;
    const arrivals = fact.model === model ? fact.arrivals : 0;
    values[at] = Number.isNaN(before) ? arrivals : before + arrivals;
  }
  return { startUs: fromUs, stepUs: spanUs, values };
}

/**
 * A trace as facts of `model`, a minute each: arrivals, and tokens where the file has them. Coarser
 * steps are spread over their minutes in whole numbers that keep the sum. Missing steps give none.
 */
export function factsOfTrace(
  trace: Trace,
  { model, priority, source }: { readonly model: string; priority: Priority; source: string },
): LoadFact[] {
  const { startUs, stepUs, values } = trace.series;
  const spanUs = MINUTE_US;
  const totals = new Map<number, Record<LoadAmount, number>>();
  const add = (name: LoadAmount, amounts: readonly number[]): void => {
    // Over all steps, or small fractions would be rounded away, or up, one by one.
    let exact = 0;
    let given = 0;
    for (const [step, amount] of amounts.entries()) {
      if (Number.isNaN(values[step])) continue;
      const from = startUs + step * stepUs;
      const spans = Math.max(1, Math.round(stepUs / spanUs));
      const before = exact;
      exact += amount;
      for (let span = 0; span < spans; span++) {
        const share = Math.round(before + (amount * (span + 1)) / spans) - given;
        given += share;
        const atUs = Math.floor((from + span * spanUs) / spanUs) * spanUs;
        const total = totals.get(atUs) ?? { ...eachAmount(() => 0) };
        total[name] += share;
        totals.set(atUs, total);
      }
    }
  };
  add("arrivals", values);
  add("rows", values);
  const tokens = Object.entries(trace.sums).filter(([column]) => column.includes("token"));
  // A total says nothing of what went in and out, where those are there too.
  const apart = tokens.filter(([column]) => tokens.length === 1 || !column.includes("total"));
  for (const [column, amounts] of apart) {
    add(isOutput(column) ? "outputTokens" : "inputTokens", amounts);
  }
  return [...totals].map(([atUs, amounts]) => ({
    v: 1,
    model,
    priority,
    source,
    atUs,
    spanUs,
    ...amounts,
  }));
}

const isOutput = (column: string): boolean => /out|gener|compl|respon/.test(column);
