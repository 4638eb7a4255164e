/**
 * Keeps a driver at the counts that are wanted: asks once, asks again only when the driver's own
 * count differs, waits longer after each failure, and holds the driver's view against heartbeats.
 *
 * It owns no timer: whoever has the plan calls `tick` every few seconds, one call at a time.
 */

import { assert } from "@millrace/std";
import { type Backoff, restartDelayMs } from "./backoff.ts";
import {
  type Comparison,
  type CompareLimits,
  compareFleet,
  type HeardWorker,
  type ListedMember,
} from "./compare.ts";
import { type FleetCode, type FleetDriver, type Pool, poolKey } from "./driver.ts";

/**
 * - `steady`: as many are ready as are wanted
 * - `scaling`: asked for, and on its way
 * - `backing-off`: the driver failed; it is asked again at `retryAtUs`
 * - `disputed`: the driver's view is contradicted by heartbeats: nothing is replaced
 * - `unknown`: the driver never listed this pool
 */
export type PoolState = "steady" | "scaling" | "backing-off" | "disputed" | "unknown";

export interface PoolReport extends Pool {
  readonly state: PoolState;
  /** Undefined until somebody wants a count: the driver is left as it is. */
  readonly wanted: number | undefined;
  readonly expected: number;
  readonly ready: number;
  readonly starting: number;
  /** Ready for the driver, and heard: what can be planned with. */
  readonly confirmed: number;
  /** The last failure, until all was well for a minute. */
  readonly fault?: KeptFault;
  readonly failedAtUs?: number;
  readonly retryAtUs?: number;
}

/** `ENDED`: members that the driver gave ended, which is no refusal of his. */
export interface KeptFault {
  readonly code: FleetCode | "ENDED";
  readonly message: string;
  readonly retry: boolean;
}

export interface FleetReport {
  readonly pools: readonly PoolReport[];
  readonly members: readonly ListedMember[];
  readonly comparison: Comparison;
  /** Microseconds since the driver last said what runs; Infinity when it never did. */
  readonly ageUs: number;
  /** Set while the driver cannot be asked: the view is the last one that came. */
  readonly fault?: KeptFault;
}

export interface KeeperOptions {
  readonly driver: FleetDriver;
  readonly nowUs: () => number;
  readonly backoff?: Backoff;
  readonly limits?: Partial<CompareLimits>;
}

/** Cloud quotas and image pulls fail for minutes: asking every few seconds would not help. */
export const FLEET_BACKOFF: Backoff = {
  delayMsMin: 1_000,
  delayMsMax: 120_000,
  healthyAfterMs: 60_000,
};

interface Failing {
  readonly failures: number;
  readonly fault: KeptFault;
  readonly failedAtUs: number;
  readonly retryAtUs: number;
}

/** So many replacements a tick: a wave of them is a fault of another kind. */
const REPLACED_MAX = 3;

export class FleetKeeper {
  readonly #driver: FleetDriver;
  readonly #nowUs: () => number;
  readonly #backoff: Backoff;
  readonly #limits: Partial<CompareLimits>;
  readonly #wanted = new Map<string, { readonly pool: Pool; count: number; retire: string[] }>();
  /** By pool, and by `list` for the driver as a whole. */
  readonly #failing = new Map<string, Failing>();
  #members: readonly ListedMember[] = [];
  #counts = new Map<string, { readonly expected: number; readonly ready: number }>();
  #listedAtUs = Number.NEGATIVE_INFINITY;
  #ticking = false;

  constructor({ driver, nowUs, backoff = FLEET_BACKOFF, limits = {} }: KeeperOptions) {
    this.#driver = driver;
    this.#nowUs = nowUs;
    this.#backoff = backoff;
    this.#limits = limits;
  }

  /** From the next tick on. Those in `retire` leave first where the pool shrinks. */
  want(pool: Pool, count: number, retire: readonly string[] = []): void {
    this.#wanted.set(poolKey(pool), { pool, count, retire: [...retire] });
  }

  /** Reads the driver, compares, asks for what differs. Never throws for what the world does. */
  async tick(heard: readonly HeardWorker[]): Promise<FleetReport> {
    assert(!this.#ticking, "one tick at a time");
    this.#ticking = true;
    try {
      await this.#list();
      this.#hear(heard);
      const comparison = this.#compare(heard);
      if (!this.#failing.has(LIST)) {
        let isGiven = true;
        for (const { pool, count, retire } of this.#wanted.values()) {
          if (!(await this.#scale(pool, count, retire))) isGiven = false;
        }
        // A driver that refuses may have given a part, which whoever wants it counts on.
        if (!isGiven) await this.#list();
        await this.#replace(comparison);
      }
      return this.#report(comparison);
    } finally {
      this.#ticking = false;
    }
  }

  async #list(): Promise<void> {
    if (this.#waits(LIST)) return;
    const listed = await this.#driver.list();
    // What was known stays: a lost connection says nothing about what runs.
    if (!listed.ok) return this.#failed(LIST, listed.error);
    this.#failing.delete(LIST);
    const nowUs = this.#nowUs();
    const before = new Map(this.#members.map((member) => [member.id, member]));
    this.#members = listed.value.members.map((member) => {
      const old = before.get(member.id);
      const sinceUs = old?.state === member.state ? old.sinceUs : nowUs;
      const { heardAtUs } = old ?? {};
      return { ...member, sinceUs, ...(heardAtUs === undefined ? {} : { heardAtUs }) };
    });
    this.#counts = new Map(listed.value.pools.map((pool) => [poolKey(pool), pool]));
    this.#listedAtUs = nowUs;
  }

  /** Who spoke is remembered: whoever hears them forgets a worker that falls silent. */
  #hear(heard: readonly HeardWorker[]): void {
    const heardAtUs = new Map(heard.map((worker) => [worker.id, worker.heardAtUs]));
    this.#members = this.#members.map((member) => {
      const atUs = heardAtUs.get(member.id);
      return atUs === undefined ? member : { ...member, heardAtUs: atUs };
    });
  }

  #compare(heard: readonly HeardWorker[]): Comparison {
    const nowUs = this.#nowUs();
    return compareFleet({ listed: this.#members, heard, nowUs, limits: this.#limits });
  }

  /** False where the driver was asked and failed. */
  async #scale(pool: Pool, count: number, retire: readonly string[]): Promise<boolean> {
    const key = poolKey(pool);
    if (this.#waits(key)) return true;
    const held = this.#counts.get(key);
    const live = this.#members.filter(
      (member) =>
        poolKey(member) === key && (member.state === "ready" || member.state === "starting"),
    ).length;
    const missing = held !== undefined && held.expected === count && live < count;
    // Members that ended are made good too, with the pauses of a failure: they may end again.
    if (held?.expected === count && !missing) {
      this.#recover(key);
      return true;
    }
    const asked = await this.#driver.scale(pool, count, retire);
    if (!asked.ok) {
      this.#failed(key, asked.error);
      return false;
    }
    if (missing) {
      const gone = this.#members.find(
        (member) => poolKey(member) === key && member.state === "gone",
      );
      const message = `${count - live} of ${count} were not there: ${gone?.detail ?? "they ended"}`;
      this.#failed(key, { code: "ENDED", message, retry: true });
    } else {
      this.#failing.delete(key);
    }
    this.#counts.set(key, { expected: count, ready: held?.ready ?? 0 });
    return true;
  }

  async #replace({ actions }: Comparison): Promise<void> {
    for (const { id, pool } of actions.slice(0, REPLACED_MAX)) {
      const key = `replace ${poolKey(pool)}`;
      if (this.#waits(key)) continue;
      const replaced = await this.#driver.replace(id);
      // Either way the pool pauses: what replaces a silent member needs time to speak.
      this.#failed(
        key,
        replaced.ok
          ? { code: "ENDED", message: `${id} was replaced`, retry: true }
          : replaced.error,
      );
    }
    if (actions.length > 0) return;
    for (const key of this.#failing.keys()) if (key.startsWith("replace ")) this.#recover(key);
  }

  /** All is well; that it failed is forgotten only when it stayed so. */
  #recover(key: string): void {
    const failing = this.#failing.get(key);
    if (failing === undefined) return;
    const wellUs = this.#nowUs() - failing.failedAtUs;
    if (wellUs >= this.#backoff.healthyAfterMs * 1000) this.#failing.delete(key);
  }

  #waits(key: string): boolean {
    return this.#nowUs() < (this.#failing.get(key)?.retryAtUs ?? 0);
  }

  #failed(key: string, fault: KeptFault): void {
    const failures = (this.#failing.get(key)?.failures ?? 0) + 1;
    // What no repetition cures is still tried, rarely: rights and quotas are changed by people.
    const delayMs = fault.retry
      ? restartDelayMs(failures, this.#backoff)
      : this.#backoff.delayMsMax;
    const failedAtUs = this.#nowUs();
    this.#failing.set(key, { failures, fault, failedAtUs, retryAtUs: failedAtUs + delayMs * 1000 });
  }

  #report(comparison: Comparison): FleetReport {
    const list = this.#failing.get(LIST);
    const pools = this.#driver.pools.map((pool) => this.#reportPool(pool, comparison));
    const ageUs = this.#nowUs() - this.#listedAtUs;
    const report = { pools, members: this.#members, comparison, ageUs };
    return list === undefined ? report : { ...report, fault: list.fault };
  }

  #reportPool(pool: Pool, { confirmed, disputed }: Comparison): PoolReport {
    const key = poolKey(pool);
    const { kind, zone, lifecycle } = pool;
    const held = this.#counts.get(key);
    const wanted = this.#wanted.get(key)?.count;
    const failing = this.#failing.get(LIST) ?? this.#failing.get(key);
    const ready = held?.ready ?? 0;
    const steady = wanted === undefined || (held?.expected === wanted && ready === wanted);
    const pausing = failing !== undefined && this.#nowUs() < failing.retryAtUs;
    const settled: PoolState = disputed ? "disputed" : steady ? "steady" : "scaling";
    const state: PoolState = pausing ? "backing-off" : held === undefined ? "unknown" : settled;
    const expected = held?.expected ?? 0;
    const starting = this.#members.filter(
      (member) => member.state === "starting" && poolKey(member) === key,
    ).length;
    const counted = { kind, zone, lifecycle, state, wanted, expected, ready, starting };
    const report = { ...counted, confirmed: confirmed.get(key) ?? 0 };
    if (failing === undefined) return report;
    const { failedAtUs, fault, retryAtUs } = failing;
    return { ...report, fault, failedAtUs, retryAtUs };
  }
}

const LIST = "list";
