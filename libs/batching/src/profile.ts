/**
 * What a batch takes, learned: a ring of recent times per batch bucket for one (model, device
 * class).
 *
 * `estimateUs` is conservative, the largest of the ring, which is its p99 at these sizes
 * (Clockwork, OSDI 2020, section 5.3); it decides whether a deadline can be met. `meanUs` is what
 * to expect, and decides when a device will be free and whether waiting pays. Both grow with the
 * number of rows.
 */

import { Ring } from "@millrace/std";

const RING = 16;
/** Before anything was measured: short enough to try, long enough not to flood a device. */
const UNKNOWN_US = 5_000;
/**
 * A batch this long is not cut shorter for its own sake: what it costs besides its run is 2 % of
 * it, and times of shorter ones say more of what else the machine does than of their size.
 */
const LONG_US = 20_000;
/** A smaller batch has to be worth this much: the times that are compared vary by as much. */
const WORTH = 0.98;
/** One batch in this many is as large as it may be, so that its time does not grow old. */
const LARGEST_EVERY = 32;
/** And after so many it is looked again which size is best. */
const LOOK_EVERY = 8;

const bucketOf = (rows: number): number => 32 - Math.clz32(Math.max(1, rows) - 1);

export class Profile {
  /** By bucket: bucket k holds batches of (2^(k-1), 2^k] rows. */
  readonly #rings: (Ring | undefined)[] = [];
  /** What a row of them took. */
  readonly #rowTimes: (Ring | undefined)[] = [];
  #asked = 0;
  #bestRows = Infinity;

  /** `rows` rows took `us` on the device. */
  observe(rows: number, us: number): void {
    const bucket = bucketOf(rows);
    (this.#rings[bucket] ??= new Ring(RING)).push(us);
    (this.#rowTimes[bucket] ??= new Ring(RING)).push(us / rows);
  }

  /** Warm-up times seed the buckets that no real batch has measured yet. */
  seed(times: readonly (readonly [rows: number, us: number])[]): void {
    for (const [rows, us] of times) {
      if (this.#rings[bucketOf(rows)] === undefined) this.observe(rows, us);
    }
  }

  get known(): boolean {
    return this.#rings.length > 0;
  }

  estimateUs(rows: number): number {
    return this.#read(rows, true);
  }

  meanUs(rows: number): number {
    return this.#read(rows, false);
  }

  /**
   * Rows in a batch, at most `rowsMax`, at which most rows a second come out of a device that
   * always has work. Mostly `rowsMax`; but where a row is much work already, a large batch leaves
   * the processor's caches: of a 1 GFLOP encoder 16 rows at a time took 8 % longer than one by one.
   */
  bestRows(rowsMax: number): number {
    const turn = this.#asked++ % LARGEST_EVERY;
    if (turn === 0) return rowsMax;
    if (turn % LOOK_EVERY === 1) this.#bestRows = this.#findBest(rowsMax);
    return Math.min(this.#bestRows, rowsMax);
  }

  #findBest(rowsMax: number): number {
    let best = rowsMax;
    let bestUs = this.#rowTimes[bucketOf(rowsMax)]?.mean ?? 0;
    for (let bucket = bucketOf(rowsMax) - 1; bucket >= 0; bucket--) {
      const rows = 2 ** bucket;
      const us = this.#rowTimes[bucket]?.mean ?? Infinity;
      if (rows * us < LONG_US) break;
      if (us >= WORTH * bestUs) continue;
      best = rows;
      bestUs = us;
    }
    return best;
  }

  /**
   * A bucket never seen is read off its nearest neighbour: as is from above, in proportion from
   * below.
   */
  #read(rows: number, conservative: boolean): number {
    const rings = this.#rings;
    const bucket = bucketOf(rows);
    const own = rings[bucket];
    if (own !== undefined) return timeOf(own, conservative);
    for (let below = Math.min(bucket, rings.length) - 1; below >= 0; below--) {
      const ring = rings[below];
      if (ring !== undefined) return timeOf(ring, conservative) * 2 ** (bucket - below);
    }
    for (let above = bucket + 1; above < rings.length; above++) {
      const ring = rings[above];
      if (ring !== undefined) return timeOf(ring, conservative);
    }
    return UNKNOWN_US;
  }
}

const timeOf = (ring: Ring, conservative: boolean): number =>
  Math.ceil(conservative ? ring.max : ring.mean);
