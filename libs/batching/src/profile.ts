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

const bucketOf = (rows: number): number => 32 - Math.clz32(Math.max(1, rows) - 1);

export class Profile {
  /** By bucket: bucket k holds batches of (2^(k-1), 2^k] rows. */
  readonly #rings: (Ring | undefined)[] = [];

  /** `rows` rows took `us` on the device. */
  observe(rows: number, us: number): void {
    const bucket = bucketOf(rows);
    let ring = this.#rings[bucket];
    if (ring === undefined) {
      ring = new Ring(RING);
      this.#rings[bucket] = ring;
    }
    ring.push(us);
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
