/**
 * Where the workers of a kind lie: over lifecycles and zones, as spot and its prices allow, within
 * the fleet's budget. Counts are told only where they changed.
 */

import type { Offer, PriceBook } from "@millrace/costing";
import {
  needBehind,
  type PlanRules,
  priceOf,
  spreadWorkers,
  type WorkerGroup,
} from "@millrace/planning";
import { isDue } from "./due.ts";
import type { ElasticEffect, Pool } from "./events.ts";
import type { FleetState } from "./fleet-state.ts";

export interface PoolsOptions {
  readonly prices: PriceBook;
  readonly rules: PlanRules;
  /** Of each kind, the spare of spot included. */
  readonly workersMax: number;
  /** A pool that refused is left alone for so long. */
  readonly refusedForUs: number;
}

/** Bisections of the share that a budget allows: to one worker in 10,000 of each kind. */
const BUDGET_HALVINGS = 14;

export class Pools {
  readonly #options: PoolsOptions;
  readonly #state: FleetState;
  /** Pools that refused, until when they are left alone. */
  readonly #closed = new Map<string, number>();
  /** What was wanted last, by pool. */
  readonly #wanted = new Map<string, number>();

  constructor(options: PoolsOptions, state: FleetState) {
    this.#options = options;
    this.#state = state;
  }

  /** Whether any worker was asked for. */
  get asked(): boolean {
    return [...this.#wanted.values()].some((count) => count > 0);
  }

  /** Others may have told other counts. */
  forget(): void {
    this.#wanted.clear();
  }

  answered(pool: Pool, refused: boolean, nowUs: number): void {
    if (refused) this.#closed.set(keyOf(pool), nowUs + this.#options.refusedForUs);
    else this.#closed.delete(keyOf(pool));
  }

  /** What runs now, without the spare that is added to every need. */
  needBehind(kind: string): number {
    const { prices, rules } = this.#options;
    const count = { onDemand: 0, spot: 0 };
    for (const { zone, lifecycle } of this.#offersOf(kind)) {
      const ready = this.#state.ready(kind, zone, lifecycle);
      if (lifecycle === "spot") count.spot += ready;
      else count.onDemand += ready;
    }
    return needBehind(kind, count, prices.offers, rules.spot);
  }

  /**
   * Workers by kind that the fleet's budget pays for: all that are wanted, or the same share of
   * each kind. It comes before the least that there should be, as it does in the plan.
   */
  withinBudget(wanted: ReadonlyMap<string, number>, nowUs: number): ReadonlyMap<string, number> {
    const budget = this.#options.rules.budgetMicrosPerHour;
    const isPaid = (counts: ReadonlyMap<string, number>): boolean => {
      let micros = 0;
      for (const [kind, count] of counts) micros += this.#price(kind, count, nowUs);
      return budget === undefined || micros <= budget;
    };
    if (isPaid(wanted)) return wanted;
    const shareOf = (share: number): ReadonlyMap<string, number> =>
      new Map([...wanted].map(([kind, count]) => [kind, Math.floor(count * share)]));
    let low = 0;
    let high = 1;
    for (let halving = 0; halving < BUDGET_HALVINGS; halving++) {
      const middle = (low + high) / 2;
      if (isPaid(shareOf(middle))) low = middle;
      else high = middle;
    }
    return shareOf(low);
  }

  /** @param workers that the load needs. */
  want(kind: string, workers: number, nowUs: number): ElasticEffect[] {
    const groups = this.#spread(kind, workers, nowUs);
    const effects: ElasticEffect[] = [];
    for (const { zone, lifecycle } of this.#offersOf(kind)) {
      const pool = { kind, zone, lifecycle };
      const count =
        groups.find((group) => group.zone === zone && group.lifecycle === lifecycle)?.count ?? 0;
      const key = keyOf(pool);
      if (this.#wanted.get(key) === count) continue;
      this.#wanted.set(key, count);
      effects.push({ type: "want", pool, count });
    }
    return effects;
  }

  #offersOf(kind: string): readonly Offer[] {
    return this.#options.prices.offers.filter((offer) => offer.kind === kind);
  }

  /** By the hour, in the pools that are open now. */
  #price(kind: string, workers: number, nowUs: number): number {
    return priceOf(this.#spread(kind, workers, nowUs), this.#options.prices.offers);
  }

  #spread(kind: string, workers: number, nowUs: number): WorkerGroup[] {
    const { prices, refusedForUs, rules, workersMax } = this.#options;
    const closed = (pool: Pool): boolean =>
      !isDue(this.#closed.get(keyOf(pool)) ?? 0, refusedForUs, nowUs);
    return spreadWorkers(kind, workers, prices.offers, rules.spot, {
      // What was asked for is on its way, unless the pool refused.
      present: (zone, lifecycle) => {
        const pool = { kind, zone, lifecycle };
        const ready = this.#state.ready(kind, zone, lifecycle);
        return closed(pool) ? ready : Math.max(ready, this.#wanted.get(keyOf(pool)) ?? 0);
      },
      open: (zone) => !closed({ kind, zone, lifecycle: "spot" }),
      workersMax,
    });
  }
}

const keyOf = ({ kind, zone, lifecycle }: Pool): string => `${kind}/${zone}/${lifecycle}`;
