/**
 * The fleet of whoever holds the lease: kept at what is wanted, with what its driver says told on.
 * A new keeper for every time that the lease is taken: what was wanted before is over.
 */

import type { ElasticEvent, Pool } from "@millrace/elasticity";
import {
  type Comparison,
  type FleetDriver,
  FleetKeeper,
  type HeardWorker,
  poolKey,
  type PoolReport,
} from "@millrace/fleet";
import type { Log } from "@millrace/std";
import type { Figures } from "./figures.ts";

export interface KeptFleetOptions {
  /** Without one, nothing is kept. */
  readonly driver: FleetDriver | undefined;
  readonly figures: Figures;
  /** Microseconds that never go back. */
  readonly nowUs: () => number;
  readonly log: Log;
  readonly post: (event: ElasticEvent) => void;
}

const LIES_SHOWN = 10;

export class KeptFleet {
  readonly #options: KeptFleetOptions;
  /** When each pool refused last, of what was told. */
  readonly #refusedAtUs = new Map<string, number>();
  #keeper: FleetKeeper | undefined;
  /** The lease's, when it was held last. */
  #epoch: number | undefined;
  #lies = "";

  constructor(options: KeptFleetOptions) {
    this.#options = options;
  }

  /** Called as long as the lease is held; another epoch says that others may have acted. */
  lead(epoch: number): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    const { driver, nowUs, post } = this.#options;
    this.#refusedAtUs.clear();
    this.#keeper = driver === undefined ? undefined : new FleetKeeper({ driver, nowUs });
    post({ type: "leaseTaken" });
  }

  want(pool: Pool, count: number): void {
    this.#keeper?.want(pool, count);
    this.#options.log.info({ ...pool, count }, "workers wanted");
  }

  async keep(heard: readonly HeardWorker[]): Promise<void> {
    if (this.#keeper === undefined) return;
    const { figures } = this.#options;
    const report = await this.#keeper.tick(heard);
    figures.kept(report);
    this.#contradicted(report.comparison);
    // A driver that cannot list says nothing of what its pools would give.
    if (report.fault === undefined) report.pools.forEach((pool) => this.#tellRefusal(pool));
  }

  /** Every refusal by itself: the pool is left alone for a time from the last of them. */
  #tellRefusal({ failedAtUs, fault, kind, lifecycle, ready, starting, zone }: PoolReport): void {
    if (fault?.code !== "REFUSED" || failedAtUs === undefined) return;
    const pool = { kind, zone, lifecycle };
    const key = poolKey(pool);
    if (this.#refusedAtUs.get(key) === failedAtUs) return;
    this.#refusedAtUs.set(key, failedAtUs);
    this.#options.post({ type: "poolRefused", pool, held: ready + starting });
  }

  /** News when it begins and when it changes. */
  #contradicted(comparison: Comparison): void {
    const { log } = this.#options;
    const lies = liesOf(comparison).map(({ id, type }) => `${id} is ${type}`);
    const words = lies.toSorted().join();
    if (words === this.#lies) return;
    this.#lies = words;
    if (lies.length === 0) log.info({}, "the driver and the heartbeats agree again");
    else {
      const { disputed } = comparison;
      const some = lies.slice(0, LIES_SHOWN);
      log.warn({ count: lies.length, some, disputed }, "the driver is contradicted by heartbeats");
    }
  }
}

/** Workers that another started, and says so, are no lie of the driver's. */
const liesOf = ({ differences }: Comparison): Comparison["differences"] =>
  differences.filter(({ type }) => type !== "unlisted");
