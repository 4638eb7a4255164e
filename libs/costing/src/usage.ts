/**
 * From what the cluster writes down to the ledger: worker time by the minute, and load facts. A
 * fact says which kind of worker served it; of one that does not, the device time is laid on the
 * kinds of its period as their worker time is.
 */

import type { LoadFact, LedgerEntry as WorkerMinute } from "@millrace/protocol";
import type { Baseline } from "./cost-report.ts";
import type { LedgerEntry, PlaceCost, UsageEntry, WorkerEntry } from "./ledger.ts";
import { cheapestOffer, offerKey, type PriceBook } from "./price-book.ts";
import { splitByWeight } from "./splitting.ts";

const HOUR_US = 3_600_000_000;
const MINUTE_US = 60_000_000;
/** Of use that no worker time was booked for: it is counted, and costs what crossed zones. */
const NOWHERE = "-";
const UNKNOWN = "(unknown)";

/** Entries for `bookEntries` with the same period. Give each fact and minute once. */
export function ledgerOf(
  workers: readonly WorkerMinute[],
  facts: readonly LoadFact[],
  periodUs = HOUR_US,
): LedgerEntry[] {
  const kinds = new Map<number, Map<string, number>>();
  const time = workers.map((minute): WorkerEntry => {
    const { atUs, kind, zone, lifecycle, workerUs, crossingBytes } = minute;
    const workerMs = Math.round(workerUs / 1_000);
    const period = Math.floor(atUs / periodUs);
    const there = kinds.get(period) ?? new Map<string, number>();
    there.set(kind, (there.get(kind) ?? 0) + workerMs);
    kinds.set(period, there);
    return {
      type: "workers",
      atUs,
      kind,
      zone,
      lifecycle,
      workerMs,
      bytesAcrossZones: crossingBytes,
    };
  });
  const use = facts.flatMap((fact) =>
    usageOf(fact, kinds.get(Math.floor(fact.atUs / periodUs)) ?? new Map()),
  );
  return [...time, ...use];
}

/** One entry per kind; the first has what is counted once. */
function usageOf(fact: LoadFact, kinds: ReadonlyMap<string, number>): UsageEntry[] {
  const { atUs, computeUs, crossingBytes, inputTokens, model, outputTokens, priority } = fact;
  if (fact.served === 0 && computeUs === 0 && crossingBytes === 0) return [];
  const tenant = fact.tenant ?? UNKNOWN;
  const places = placesOf(fact.kind, kinds);
  const parts = splitByWeight(
    computeUs,
    places.map(([, workerMs]) => workerMs),
  );
  return places.map(([kind], at) => ({
    type: "usage",
    atUs,
    kind,
    model,
    tenant,
    priority,
    key: tenant,
    requests: at === 0 ? fact.served : 0,
    tokens: at === 0 ? inputTokens + outputTokens : 0,
    deviceUs: parts[at] ?? 0,
    bytesAcrossZones: at === 0 ? crossingBytes : 0,
  }));
}

/** Kinds with their weights. */
function placesOf(
  kind: string | undefined,
  kinds: ReadonlyMap<string, number>,
): readonly (readonly [kind: string, weight: number])[] {
  if (kind !== undefined) return [[kinds.has(kind) ? kind : NOWHERE, 1]];
  return kinds.size === 0 ? [[NOWHERE, 1]] : [...kinds];
}

/** Workers that the book has no price for: paid by somebody, and by this account unknown. */
export function unpricedWorkers(
  workers: readonly WorkerMinute[],
  prices: PriceBook,
): Omit<PlaceCost, "micros">[] {
  const priced = new Set(prices.offers.map(offerKey));
  const byPlace = Map.groupBy(workers, offerKey);
  return [...byPlace].flatMap(([key, minutes]) => {
    const [first] = minutes;
    if (first === undefined || priced.has(key)) return [];
    const { kind, zone, lifecycle } = first;
    const workerMs = minutes.reduce((sum, { workerUs }) => sum + Math.round(workerUs / 1_000), 0);
    return [{ kind, zone, lifecycle, workerMs }];
  });
}

/** Share of the workers' time in which something ran; undefined where there were no workers. */
export function utilisationOf(
  workers: readonly WorkerMinute[],
  facts: readonly LoadFact[],
): number | undefined {
  const paidUs = workers.reduce((sum, { workerUs }) => sum + workerUs, 0);
  const usedUs = facts.reduce((sum, { computeUs }) => sum + computeUs, 0);
  return paidUs === 0 ? undefined : usedUs / paidUs;
}

export const BASELINES = ["static-peak", "static-headroom"] as const;
export type BaselineName = (typeof BASELINES)[number];

/** As the static fleets of a replay: the P99.9 minute at this use, known in advance. */
const PEAK_QUANTILE = 0.999;
const PEAK_UTILISATION = 0.9;
const HEADROOM: Readonly<Record<BaselineName, number>> = {
  "static-peak": 1,
  "static-headroom": 1.5,
};

/**
 * A fleet of the kind that ran most, always there and on demand, for the device time that the
 * busiest minute took. Hours do not tell it: facts that were rolled up do not count.
 * @returns undefined where no kind that ran has an on-demand price, or no minute is known.
 */
export function staticBaseline(
  name: BaselineName,
  workers: readonly WorkerMinute[],
  facts: readonly LoadFact[],
  prices: PriceBook,
): Baseline | undefined {
  const kind = mostUsedKind(workers, prices);
  const minutes = busyMinutes(workers, facts).sort((a, b) => a - b);
  const peakUs = minutes[Math.ceil(PEAK_QUANTILE * minutes.length) - 1];
  if (kind === undefined || peakUs === undefined) return undefined;
  const peakWorkers = Math.max(1, Math.ceil(peakUs / MINUTE_US / PEAK_UTILISATION));
  return { name, kind, workers: Math.ceil(peakWorkers * HEADROOM[name]) };
}

/**
 * Device time of every minute in which there were workers. A request is counted when it is
 * answered: what is more than the workers can have done in that minute they did in those before.
 */
function busyMinutes(workers: readonly WorkerMinute[], facts: readonly LoadFact[]): number[] {
  const thereUs = new Map<number, number>();
  for (const { atUs, workerUs } of workers) {
    thereUs.set(atUs, (thereUs.get(atUs) ?? 0) + workerUs);
  }
  const countedUs = new Map<number, number>();
  for (const { atUs, computeUs, spanUs } of facts) {
    if (spanUs === MINUTE_US) countedUs.set(atUs, (countedUs.get(atUs) ?? 0) + computeUs);
  }
  let [laterUs, restUs] = [0, 0];
  const backwards = [...thereUs].sort(([a], [b]) => b - a);
  return backwards.map(([atUs, most]) => {
    const rest = laterUs - atUs === MINUTE_US ? restUs : 0;
    const busyUs = (countedUs.get(atUs) ?? 0) + rest;
    laterUs = atUs;
    restUs = Math.max(0, busyUs - most);
    return Math.min(busyUs, most);
  });
}

function mostUsedKind(workers: readonly WorkerMinute[], prices: PriceBook): string | undefined {
  const byKind = new Map<string, number>();
  for (const { kind, workerUs } of workers) {
    if (cheapestOffer(prices, kind, "on-demand") === undefined) continue;
    byKind.set(kind, (byKind.get(kind) ?? 0) + workerUs);
  }
  return [...byKind].sort(([, a], [, b]) => b - a)[0]?.[0];
}
