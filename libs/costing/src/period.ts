/** What a period cost, by one account for all who show it: the report, the meter and the budget. */

import type { LoadFact, LedgerEntry as WorkerMinute } from "@millrace/protocol";
import { type Booked, bookEntries, type PlaceCost } from "./ledger.ts";
import { offerKey, type PriceBook } from "./price-book.ts";
import { ledgerOf, unpricedWorkers } from "./usage.ts";

export interface BookedPeriod {
  readonly booked: Booked;
  /** Those of the workers that the book has a price for. */
  readonly priced: readonly WorkerMinute[];
  /** Their time is in no sum; what they fetched across zones has a price, and is. */
  readonly unpriced: readonly Omit<PlaceCost, "micros">[];
}

/** Give each fact and each part of a minute once. */
export function bookPeriod(
  workers: readonly WorkerMinute[],
  facts: readonly LoadFact[],
  prices: PriceBook,
): BookedPeriod {
  const unpriced = unpricedWorkers(workers, prices);
  const places = new Set(unpriced.map(offerKey));
  const priced = workers.filter((entry) => !places.has(offerKey(entry)));
  const fetches = workers
    .filter((entry) => places.has(offerKey(entry)) && entry.crossingBytes > 0)
    .map((entry) => ({ ...entry, workerUs: 0 }));
  const entries = [...ledgerOf(priced, facts), ...ledgerOf(fetches, [])];
  return { booked: bookEntries(entries, prices), priced, unpriced };
}
