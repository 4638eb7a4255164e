/**
 * What a batch takes, learned: a ring of recent times per batch bucket for one (model, device
 * class).
 *
 * `meanUs` is what to expect: it decides whether a deadline can be met, when a device will be free
 * and whether waiting pays. `estimateUs` is conservative, the largest of the ring, which is its p99
 * at these sizes (Clockwork, OSDI 2020, section 5.3); it orders models by their latest start.
 *
 * Between two buckets a time is read off the line between their means, by rows: where every row is
 * work, 33 rows take half of what 64 take, and one time for both would admit to a batch what it
 * makes late.
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
/**
 * A batch this long gains nothing by being longer where a row costs the same: all of it ends
 * together, and what is in half of it would have its answers in half the time.
 */
const CALM_US = 100_000;
/** The same, as far as can be told. */
const SAME = 1.03;
/** A smaller batch has to be worth this much: the times that are compared vary by as much. */
const WORTH = 0.98;
/** One batch in this many is as large as it may be, so that its time does not grow old. */
const LARGEST_EVERY = 32;
/** And after so many it is looked again which size is best. */
const LOOK_EVERY = 8;

const bucketOf = (rows: number): number => 32 - Math.clz32(Math.max(1, rows) - 1);

/** Recent batches of about one size. */
interface Bucket {
  readonly rows: Ring;
  readonly times: Ring;
  /** What a row of them took. */
  readonly rowTimes: Ring;
}

export class Profile {
  /** Bucket k holds batches of (2^(k-1), 2^k] rows. */
  readonly #buckets: (Bucket | undefined)[] = [];
  #asked = 0;
  #bestRows = Infinity;

  /** `rows` rows took `us` on the device. */
  observe(rows: number, us: number): void {
    const bucket = (this.#buckets[bucketOf(rows)] ??= {
      rows: new Ring(RING),
      times: new Ring(RING),
      rowTimes: new Ring(RING),
    });
    bucket.rows.push(rows);
    bucket.times.push(us);
    bucket.rowTimes.push(us / rows);
  }

  /** Warm-up times seed the buckets that no real batch has measured yet. */
  seed(times: readonly (readonly [rows: number, us: number])[]): void {
    for (const [rows, us] of times) {
      if (this.#buckets[bucketOf(rows)] === undefined) this.observe(rows, us);
    }
  }

  get known(): boolean {
    return this.#buckets.length > 0;
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

  /** As {@link bestRows} for most batches, and asking does not count. */
  usualRows(rowsMax: number): number {
    return Math.min(this.#bestRows, rowsMax);
  }

  #findBest(rowsMax: number): number {
    let best = rowsMax;
    let bestUs = this.#buckets[bucketOf(rowsMax)]?.rowTimes.mean ?? 0;
    for (let bucket = bucketOf(rowsMax) - 1; bucket >= 0; bucket--) {
      const rows = 2 ** bucket;
      const us = this.#buckets[bucket]?.rowTimes.mean ?? Infinity;
      if (rows * us < LONG_US) break;
      if (us >= WORTH * bestUs) continue;
      best = rows;
      bestUs = us;
    }
    return this.#findCalm(best, bestUs);
  }

  /** The smallest size that is as good, and long enough. */
  #findCalm(best: number, bestUs: number): number {
    for (let bucket = 0; 2 ** bucket < best; bucket++) {
      const rows = 2 ** bucket;
      const us = this.#buckets[bucket]?.rowTimes.mean ?? Infinity;
      if (rows * us >= CALM_US && us <= SAME * bestUs) return rows;
    }
    return best;
  }

  /**
   * A bucket never seen is read off its nearest neighbour: as is from above, in proportion from
   * below.
   */
  #read(rows: number, conservative: boolean): number {
    const buckets = this.#buckets;
    const place = bucketOf(rows);
    const own = buckets[place];
    if (own?.rows.mean === rows) return timeOf(own, conservative);
    const below = nearest(buckets, Math.min(place, buckets.length) - 1, -1);
    if (own === undefined && below !== undefined) return inProportion(below, rows, conservative);
    const above = nearest(buckets, place + 1, 1);
    if (own === undefined) return above === undefined ? UNKNOWN_US : timeOf(above, conservative);
    if (rows > own.rows.mean) {
      if (above === undefined) return inProportion(own, rows, conservative);
      return onLine(own, above, rows, conservative);
    }
    if (below === undefined) return timeOf(own, conservative);
    return onLine(below, own, rows, conservative);
  }
}

function nearest(
  buckets: readonly (Bucket | undefined)[],
  from: number,
  step: 1 | -1,
): Bucket | undefined {
  for (let at = from; at >= 0 && at < buckets.length; at += step) {
    const bucket = buckets[at];
    if (bucket !== undefined) return bucket;
  }
  return undefined;
}

const inProportion = (bucket: Bucket, rows: number, conservative: boolean): number =>
  Math.ceil((timeOf(bucket, conservative) * rows) / bucket.rows.mean);

function onLine(from: Bucket, to: Bucket, rows: number, conservative: boolean): number {
  const fromUs = timeOf(from, conservative);
  const share = (rows - from.rows.mean) / (to.rows.mean - from.rows.mean);
  return Math.ceil(fromUs + share * (timeOf(to, conservative) - fromUs));
}

const timeOf = ({ times }: Bucket, conservative: boolean): number =>
  Math.ceil(conservative ? times.max : times.mean);
