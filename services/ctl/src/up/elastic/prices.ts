/**
 * The price book of the demonstration: the default one's GPU, with the start-up time that a process
 * of this machine has on the day's clock.
 */

import { DEFAULT_PRICE_BOOK, MICROS, type PriceBook } from "@millrace/costing";

/** What the workers of the demonstration are counted and paid as. */
export const DAY_KIND = "gpu-l4";

export function dayPrices(startUpSeconds: number): PriceBook {
  const kinds = DEFAULT_PRICE_BOOK.kinds.filter(({ kind }) => kind === DAY_KIND);
  return {
    ...DEFAULT_PRICE_BOOK,
    kinds: kinds.map((kind) => ({ ...kind, startUpSeconds })),
    offers: DEFAULT_PRICE_BOOK.offers.filter(({ kind }) => kind === DAY_KIND),
  };
}

/** As a price book's file has it. */
export const renderPrices = ({
  crossingMicrosPerGb,
  kinds,
  name,
  offers,
  source,
  zones,
}: PriceBook) =>
  JSON.stringify(
    {
      name,
      source,
      zones,
      crossingPerGb: crossingMicrosPerGb / MICROS,
      kinds: kinds.map(({ throughput, memoryBytes, ...kind }) => ({
        ...kind,
        memoryBytes,
        throughput: Object.fromEntries(throughput),
      })),
      offers: offers.map(({ microsPerHour, ...offer }) => ({
        ...offer,
        pricePerHour: microsPerHour / MICROS,
      })),
    },
    undefined,
    2,
  );
