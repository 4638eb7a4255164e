/**
 * Books what ran: the time of every worker that is heard, by kind, zone and lifecycle, and what
 * workers fetched from another zone. A minute that more than one forecaster sees is booked in
 * parts, of which each has a name of its own and is in the ledger once.
 */

import type { openLedger } from "@millrace/history";
import type { LedgerEntry, Lifecycle } from "@millrace/protocol";
import type { Log } from "@millrace/std";

export interface BookedPool {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
}

/** Of one pool in one minute. */
interface Booked {
  readonly pool: BookedPool;
  workerUs: number;
  crossingBytes: number;
}

const MINUTE_US = 60_000_000;
const PAUSE_US_MAX = 10 * MINUTE_US;
/** I6: entries that wait for the storage; a day of a hundred pools. */
const WAITING_MAX = 144_000;

export interface BookingOptions {
  readonly ledger: Pick<ReturnType<typeof openLedger>, "append">;
  readonly log: Log;
  /** Told of every entry that is in the ledger. */
  readonly written?: (entry: LedgerEntry) => void;
}

export class Booking {
  readonly #options: BookingOptions;
  /** By pool; of the minute that `#atUs` is in, from the last part on. */
  readonly #minute = new Map<string, Booked>();
  #waiting: LedgerEntry[] = [];
  #atUs = 0;
  /** Of the lease at the last call; undefined where it was away since. */
  #epoch: number | undefined;
  /** Never the same one twice, so that no part is taken for another's repetition. */
  #parts = 0;

  constructor(options: BookingOptions) {
    this.#options = options;
  }

  /**
   * Everybody in `workers` was there since the last call. Nothing is booked of the time between
   * where nobody knows who was there: after more than ten minutes, or where the clock went back.
   * @param epoch of the lease; in another one than before, somebody else has booked that time.
   */
  async book(workers: readonly BookedPool[], nowUs: number, epoch: number): Promise<void> {
    const fromUs = this.#atUs;
    const isGap = nowUs < fromUs || nowUs - fromUs > PAUSE_US_MAX;
    if (this.#epoch !== undefined && (epoch !== this.#epoch || isGap)) this.#endPart();
    const isNext = epoch === this.#epoch && !isGap;
    this.#atUs = nowUs;
    this.#epoch = epoch;
    if (isNext) {
      let atUs = fromUs;
      while (atUs < nowUs) {
        const endUs = Math.min(nowUs, (Math.floor(atUs / MINUTE_US) + 1) * MINUTE_US);
        for (const pool of workers) this.#add(pool, endUs - atUs);
        if (endUs % MINUTE_US === 0) this.#endMinute(endUs - MINUTE_US);
        atUs = endUs;
      }
    }
    await this.#write();
  }

  /** The lease is away, or the forecaster ends: what was begun of a minute is a part of it. */
  async end(): Promise<void> {
    if (this.#epoch !== undefined) this.#endPart();
    this.#epoch = undefined;
    await this.#write();
  }

  /** Bytes of models that a worker of the pool has fetched across zones, in the present minute. */
  crossed(pool: BookedPool, bytes: number): void {
    this.#of(pool).crossingBytes += bytes;
  }

  #add(pool: BookedPool, us: number): void {
    this.#of(pool).workerUs += us;
  }

  #of(pool: BookedPool): Booked {
    const key = `${pool.kind}/${pool.zone}/${pool.lifecycle}`;
    const known = this.#minute.get(key);
    if (known !== undefined) return known;
    const booked = { pool, workerUs: 0, crossingBytes: 0 };
    this.#minute.set(key, booked);
    return booked;
  }

  #endPart(): void {
    this.#endMinute(Math.floor(this.#atUs / MINUTE_US) * MINUTE_US);
  }

  #endMinute(minuteUs: number): void {
    const part = this.#parts++;
    for (const { crossingBytes, pool, workerUs } of this.#minute.values()) {
      const { kind, zone, lifecycle } = pool;
      this.#waiting.push({
        v: 1,
        atUs: minuteUs,
        spanUs: MINUTE_US,
        kind,
        zone,
        lifecycle,
        workerUs: Math.round(workerUs),
        crossingBytes,
        epoch: this.#epoch,
        part,
      });
    }
    this.#minute.clear();
    const over = this.#waiting.length - WAITING_MAX;
    if (over <= 0) return;
    this.#waiting.splice(0, over); // I6
    this.#options.log.error(
      { entries: over },
      "ledger entries were dropped: the storage took none",
    );
  }

  async #write(): Promise<void> {
    const { ledger, log, written } = this.#options;
    for (let entry = this.#waiting[0]; entry !== undefined; entry = this.#waiting[0]) {
      const appended = await ledger.append(entry);
      if (!appended.ok) {
        log.warn(appended.error, "ledger");
        return;
      }
      this.#waiting.shift();
      written?.(entry);
    }
  }
}
