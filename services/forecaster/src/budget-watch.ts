/**
 * Watches the calendar month's budget: worker time as it is booked and bytes across zones as they
 * are counted, against the price book. What was booked before it began is read from the ledger.
 */

import { type AlarmLevel, decideAlarm, offerKey, type PriceBook } from "@millrace/costing";
import { ledgerKey, type openLedger } from "@millrace/history";
import type { BudgetEvent, LedgerEntry, LoadFact } from "@millrace/protocol";
import type { Log } from "@millrace/std";

export interface BudgetWatchOptions {
  /** Of a calendar month of UTC. */
  readonly micros: number;
  readonly prices: PriceBook;
  readonly ledger: Pick<ReturnType<typeof openLedger>, "read">;
  readonly log: Log;
  /** Told when it becomes worse than it was in this month. */
  readonly raised: (event: BudgetEvent) => void;
}

interface Spending {
  /** By offer, as prices are. */
  readonly workerUs: Map<string, number>;
  readonly booked: Set<string>;
  /** When the month's first entry began. */
  firstUs: number;
  crossingBytes: number;
  level: AlarmLevel;
}

const HOUR_US = 3_600_000_000;
const GB = 1_000_000_000;
/** I6: the present month and those next to it. */
const MONTHS_MAX = 3;
/** Of the ledger's own time, which is real: a month, and what is late. */
const READ_US = 32 * 24 * HOUR_US;

export class BudgetWatch {
  readonly #options: BudgetWatchOptions;
  readonly #perHour: ReadonlyMap<string, number>;
  /** By the month's start; the present one, and those next to it. */
  readonly #months = new Map<number, Spending>();
  #read: { readonly epoch: number; done: boolean } | undefined;

  constructor(options: BudgetWatchOptions) {
    this.#options = options;
    const offers = options.prices.offers.map(
      (offer) => [offerKey(offer), offer.microsPerHour] as const,
    );
    this.#perHour = new Map(offers);
  }

  /** An entry that was written; the same one again counts nothing. */
  booked(entry: LedgerEntry): void {
    const month = this.#month(entry.atUs);
    const key = offerKey(entry);
    const id = ledgerKey(entry);
    if (month.booked.has(id)) return;
    month.booked.add(id);
    month.firstUs = Math.min(month.firstUs, entry.atUs);
    month.workerUs.set(key, (month.workerUs.get(key) ?? 0) + entry.workerUs);
    month.crossingBytes += entry.crossingBytes;
  }

  /** Each fact once. */
  counted({ atUs, crossingBytes }: LoadFact): void {
    if (crossingBytes > 0) this.#month(atUs).crossingBytes += crossingBytes;
  }

  /** @param epoch of the lease: another holder may have booked before it. */
  async look(epoch: number, nowUs: number): Promise<void> {
    if (this.#read?.epoch !== epoch) {
      const read = { epoch, done: false };
      this.#read = read;
      read.done = await this.#readBooked();
      if (!read.done) this.#read = undefined;
    }
    if (!this.#read?.done) return;
    const startUs = startOfMonth(nowUs);
    this.#forget(startUs);
    const month = this.#month(nowUs);
    const { log, micros, raised } = this.#options;
    const budget = { micros, startUs, endUs: endOfMonth(nowUs) };
    const spentMicros = this.#spent(month);
    const sinceUs = Math.min(month.firstUs, nowUs);
    const alarm = decideAlarm(budget, spentMicros, nowUs, month.level, { sinceUs });
    // A forecast of the month that became better is no news; that it is spent stays true.
    if (!alarm.raised) return;
    month.level = alarm.level;
    const { level, message, projectedMicros } = alarm;
    log.warn({ alarm: level, reason: message }, "budget");
    raised({
      v: 1,
      atUs: Math.floor(nowUs),
      level: level === "exceeded" ? "exceeded" : "projected",
      budgetMicros: micros,
      spentMicros,
      projectedMicros,
      message,
    });
  }

  /** Not all that are over: a clock that is ahead for a moment would erase what was spent. */
  #forget(startUs: number): void {
    const awayUs = (month: number): number => Math.abs(month - startUs);
    const months = [...this.#months.keys()].sort((a, b) => awayUs(a) - awayUs(b));
    for (const month of months.slice(MONTHS_MAX)) this.#months.delete(month);
  }

  #spent({ crossingBytes, workerUs }: Spending): number {
    let micros = (this.#options.prices.crossingMicrosPerGb * crossingBytes) / GB;
    for (const [key, us] of workerUs) micros += ((this.#perHour.get(key) ?? 0) * us) / HOUR_US;
    return Math.floor(micros);
  }

  /** False where the storage did not answer. */
  async #readBooked(): Promise<boolean> {
    const { ledger, log } = this.#options;
    const entries = await ledger.read({ sinceUs: Date.now() * 1_000 - READ_US });
    if (!entries.ok) {
      log.warn(entries.error, "the ledger, for the budget");
      return false;
    }
    for (const entry of entries.value) this.booked(entry);
    return true;
  }

  #month(atUs: number): Spending {
    const startUs = startOfMonth(atUs);
    let month = this.#months.get(startUs);
    if (month === undefined) {
      month = {
        workerUs: new Map(),
        booked: new Set(),
        firstUs: Infinity,
        crossingBytes: 0,
        level: "none",
      };
      this.#months.set(startUs, month);
    }
    return month;
  }
}

function startOfMonth(us: number): number {
  const at = new Date(us / 1_000);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth()) * 1_000;
}

function endOfMonth(us: number): number {
  const at = new Date(us / 1_000);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1) * 1_000;
}
