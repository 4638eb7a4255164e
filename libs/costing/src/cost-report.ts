/** What people ask of the ledger: cost by model, tenant and priority, and what was saved. */

import type { Account, Booked, Charge } from "./ledger.ts";
import { cheapestOffer, type PriceBook } from "./price-book.ts";

export interface CostRow {
  readonly name: string;
  readonly requests: number;
  readonly tokens: number;
  readonly micros: number;
  /** Undefined where there were no requests. */
  readonly microsPer1000: number | undefined;
}

/** A fleet that is always there, on demand: what the ledger is compared with. */
export interface Baseline {
  readonly name: string;
  readonly kind: string;
  readonly workers: number;
}

export interface CostReport {
  readonly micros: number;
  readonly crossingMicros: number;
  readonly all: CostRow;
  readonly byModel: readonly CostRow[];
  readonly byTenant: readonly CostRow[];
  readonly byPriority: readonly CostRow[];
  readonly places: Booked["places"];
  readonly refused: readonly string[];
  readonly baseline:
    | { readonly name: string; readonly micros: number; readonly savedShare: number }
    | undefined;
}

const HOUR_US = 3_600_000_000;

/** @param spanUs that the entries are from, for what the baseline would have cost. */
export function reportCosts(
  booked: Booked,
  spanUs: number,
  prices: PriceBook,
  baseline?: Baseline,
): CostReport {
  const { charges, micros, crossingMicros, places, refused } = booked;
  return {
    micros,
    crossingMicros,
    all: rowOf("all", charges),
    byModel: rowsBy(charges, "model"),
    byTenant: rowsBy(charges, "tenant"),
    byPriority: rowsBy(charges, "priority"),
    places,
    refused,
    baseline: baseline && comparedWith(baseline, micros, spanUs, prices),
  };
}

/** The dearest first. */
function rowsBy(charges: readonly Charge[], field: keyof Account): CostRow[] {
  return [...Map.groupBy(charges, (charge) => charge[field])]
    .map(([name, group]) => rowOf(name, group))
    .sort((a, b) => b.micros - a.micros || (a.name < b.name ? -1 : 1));
}

function rowOf(name: string, charges: readonly Charge[]): CostRow {
  const sum = (figure: "requests" | "tokens" | "micros"): number =>
    charges.reduce((total, charge) => total + charge[figure], 0);
  const [requests, micros] = [sum("requests"), sum("micros")];
  const microsPer1000 = requests === 0 ? undefined : (micros * 1_000) / requests;
  return { name, requests, tokens: sum("tokens"), micros, microsPer1000 };
}

function comparedWith(
  { name, kind, workers }: Baseline,
  micros: number,
  spanUs: number,
  prices: PriceBook,
): CostReport["baseline"] {
  const offer = cheapestOffer(prices, kind, "on-demand");
  if (offer === undefined) return undefined;
  const cost = Math.round((offer.microsPerHour * workers * spanUs) / HOUR_US);
  return { name, micros: cost, savedShare: cost === 0 ? 0 : 1 - micros / cost };
}
