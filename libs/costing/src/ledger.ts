/**
 * The ledger: what ran, what was used, and whose cost it is. Entries are facts (worker time by
 * place, use by account); prices meet them here. All money is whole micro-dollars, and what a
 * period costs is split over its accounts so that the parts add up to it exactly.
 */

import { assert } from "@millrace/std";
import { type Lifecycle, offerKey, type PriceBook } from "./price-book.ts";
import { splitByWeight } from "./splitting.ts";

/** Worker time in one place. */
export interface WorkerEntry {
  readonly type: "workers";
  readonly atUs: number;
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
  /** Whole. */
  readonly workerMs: number;
  /** Of models that they fetched from a store in another zone. */
  readonly bytesAcrossZones: number;
}

/** Whose use it is. `key` is the id of the API key, never the key. */
export interface Account {
  readonly model: string;
  readonly tenant: string;
  readonly priority: string;
  readonly key: string;
}

/** What one account used of one worker kind. */
export interface UsageEntry extends Account {
  readonly type: "usage";
  readonly atUs: number;
  readonly kind: string;
  readonly requests: number;
  readonly tokens: number;
  /** Whole microseconds of devices. */
  readonly deviceUs: number;
  readonly bytesAcrossZones: number;
}

export type LedgerEntry = WorkerEntry | UsageEntry;

export interface Charge extends Account {
  readonly requests: number;
  readonly tokens: number;
  readonly deviceUs: number;
  readonly bytesAcrossZones: number;
  /** Worker time and crossing. */
  readonly micros: number;
}

export interface PlaceCost {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
  readonly workerMs: number;
  readonly micros: number;
}

export interface Booked {
  /** Everything: worker time and crossing; the sum of the charges. */
  readonly micros: number;
  readonly crossingMicros: number;
  readonly charges: readonly Charge[];
  readonly places: readonly PlaceCost[];
  /** Entries that no price was found for, or that no clock could have written, in words. */
  readonly refused: readonly string[];
}

const NOBODY = { tenant: "(none)", priority: "(none)", key: "(none)" } as const;

/** Paid for and used by nobody in its period. */
export const IDLE: Account = { model: "(idle)", ...NOBODY };

/** Models on their way to workers in other zones than the store's: they serve whoever comes. */
export const FETCHES: Account = { model: "(fetches)", ...NOBODY };

const HOUR_MS = 3_600_000n;
const HOUR_US = 3_600_000_000;
const GB = 1_000_000_000n;

/** @param periodUs within which cost follows use; an hour by default. */
export function bookEntries(
  entries: readonly LedgerEntry[],
  prices: PriceBook,
  periodUs = HOUR_US,
): Booked {
  const booking = new Booking(prices, periodUs);
  for (const entry of entries) booking.add(entry);
  return booking.close();
}

class Booking {
  readonly #prices: ReadonlyMap<string, number>;
  readonly #crossingMicrosPerGb: number;
  readonly #periodUs: number;
  readonly #places = new Map<string, PlaceCost>();
  /** Worker time by period and place, because a price is rounded once per period. */
  readonly #time = new Map<number, Map<string, WorkerEntry>>();
  readonly #usage = new Map<number, UsageEntry[]>();
  readonly #charges = new Map<string, Charge>();
  readonly #refused: string[] = [];
  #crossingMicros = 0;

  constructor(prices: PriceBook, periodUs: number) {
    this.#prices = new Map(prices.offers.map((offer) => [offerKey(offer), offer.microsPerHour]));
    this.#crossingMicrosPerGb = prices.crossingMicrosPerGb;
    this.#periodUs = periodUs;
  }

  add(entry: LedgerEntry): void {
    const problem = problemOf(entry);
    if (problem !== undefined) {
      this.#refused.push(problem);
      return;
    }
    const period = Math.floor(entry.atUs / this.#periodUs);
    if (entry.type === "usage") {
      const usage = this.#usage.get(period) ?? [];
      usage.push(entry);
      this.#usage.set(period, usage);
      return;
    }
    if (entry.bytesAcrossZones > 0) {
      const { bytesAcrossZones } = entry;
      this.#charge(FETCHES, { ...NOTHING, bytesAcrossZones }, this.#crossingOf(entry));
    }
    if (entry.workerMs === 0) return;
    const key = offerKey(entry);
    if (!this.#prices.has(key)) {
      this.#refused.push(`${entry.workerMs} ms of ${key}: the price book has no such offer`);
      return;
    }
    const time = this.#time.get(period) ?? new Map<string, WorkerEntry>();
    const before = time.get(key);
    const workerMs = (before?.workerMs ?? 0) + entry.workerMs;
    time.set(key, { ...entry, workerMs });
    this.#time.set(period, time);
  }

  close(): Booked {
    const periods = new Set([...this.#time.keys(), ...this.#usage.keys()]);
    for (const period of [...periods].sort((a, b) => a - b)) this.#closePeriod(period);
    const charges = [...this.#charges.values()];
    const micros = charges.reduce((sum, charge) => sum + charge.micros, 0);
    const places = [...this.#places.values()];
    const spent = places.reduce((sum, place) => sum + place.micros, this.#crossingMicros);
    assert(micros === spent, "every micro-dollar is charged to somebody, once");
    const refused = this.#refused;
    return { micros, crossingMicros: this.#crossingMicros, charges, places, refused };
  }

  #closePeriod(period: number): void {
    const usage = this.#usage.get(period) ?? [];
    for (const entry of usage) this.#charge(entry, entry, this.#crossingOf(entry));
    const byKind = new Map<string, number>();
    for (const [key, { kind, zone, lifecycle, workerMs }] of this.#time.get(period) ?? []) {
      const micros = Number((BigInt(this.#prices.get(key) ?? 0) * BigInt(workerMs)) / HOUR_MS);
      const before = this.#places.get(key);
      this.#places.set(key, {
        kind,
        zone,
        lifecycle,
        workerMs: (before?.workerMs ?? 0) + workerMs,
        micros: (before?.micros ?? 0) + micros,
      });
      byKind.set(kind, (byKind.get(kind) ?? 0) + micros);
    }
    for (const [kind, micros] of byKind) {
      const users = usage.filter((entry) => entry.kind === kind && entry.deviceUs > 0);
      if (users.length === 0) this.#charge(IDLE, NOTHING, micros);
      const parts = splitByWeight(
        micros,
        users.map(({ deviceUs }) => deviceUs),
      );
      users.forEach((user, at) => this.#charge(user, NOTHING, parts[at] ?? 0));
    }
  }

  #crossingOf({ bytesAcrossZones }: Pick<LedgerEntry, "bytesAcrossZones">): number {
    const micros = Number((BigInt(this.#crossingMicrosPerGb) * BigInt(bytesAcrossZones)) / GB);
    this.#crossingMicros += micros;
    return micros;
  }

  #charge({ model, tenant, priority, key }: Account, use: Use, micros: number): void {
    const id = JSON.stringify([model, tenant, priority, key]);
    const before = this.#charges.get(id);
    this.#charges.set(id, {
      model,
      tenant,
      priority,
      key,
      requests: (before?.requests ?? 0) + use.requests,
      tokens: (before?.tokens ?? 0) + use.tokens,
      deviceUs: (before?.deviceUs ?? 0) + use.deviceUs,
      bytesAcrossZones: (before?.bytesAcrossZones ?? 0) + use.bytesAcrossZones,
      micros: (before?.micros ?? 0) + micros,
    });
  }
}

type Use = Pick<UsageEntry, "requests" | "tokens" | "deviceUs" | "bytesAcrossZones">;

const NOTHING: Use = { requests: 0, tokens: 0, deviceUs: 0, bytesAcrossZones: 0 };

/** Counts are whole and at least 0; anything else would be money from nowhere. */
function problemOf(entry: LedgerEntry): string | undefined {
  const counts =
    entry.type === "workers"
      ? {
          atUs: entry.atUs,
          workerMs: entry.workerMs,
          bytesAcrossZones: entry.bytesAcrossZones,
        }
      : {
          atUs: entry.atUs,
          requests: entry.requests,
          tokens: entry.tokens,
          deviceUs: entry.deviceUs,
          bytesAcrossZones: entry.bytesAcrossZones,
        };
  for (const [name, value] of Object.entries(counts)) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    return `a ${entry.type} entry with ${name} ${value}: a whole number of at least 0 expected`;
  }
  return undefined;
}
