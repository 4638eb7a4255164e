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
  readonly startUpUsMin?: number;
}

/** After so many times the start-up time, what was asked for does not come. */
const START_UPS_MAX = 2;
const SECOND_US = 1_000_000;
/** Bisections of the share that a budget allows: to one worker in 10,000 of each kind. */
const BUDGET_HALVINGS = 14;

type ReadyOf = (zone: string, lifecycle: Pool["lifecycle"]) => number;

interface Closed {
  readonly atUs: number;
  readonly forUs: number;
  readonly held: number;
}

export class Pools {
  readonly #options: PoolsOptions;
  readonly #state: FleetState;
  /**
   * Pools that refused, until when they are left alone, and who was there, or on the way, in spite
   * of that. That they give fewer says nothing of more: only time opens them.
   */
  readonly #closed = new Map<string, Closed>();
  /** What was wanted last, by pool. */
  readonly #wanted = new Map<string, number>();
  /** Pools with fewer than are wanted: how many, and since when no more came. */
  readonly #coming = new Map<string, { readonly sinceUs: number; readonly ready: number }>();

  constructor(options: PoolsOptions, state: FleetState) {
    this.#options = options;
    this.#state = state;
  }

  /** Whether any worker was asked for. */
  get asked(): boolean {
    return [...this.#wanted.values()].some((count) => count > 0);
  }

  /** Others may have told other counts, and what refused may have been refused to who is late. */
  forget(): void {
    this.#closed.clear();
    this.#wanted.clear();
    this.#coming.clear();
  }

  refused(pool: Pool, held: number, nowUs: number, forUs = this.#options.refusedForUs): void {
    this.#closed.set(keyOf(pool), { atUs: nowUs, forUs, held });
  }

  /**
   * What was asked for and does not come is refused, whatever its driver says. Its pool is left
   * alone until every other could be found out too: else they were tried in turn for ever.
   */
  look(nowUs: number): void {
    const { offers } = this.#options.prices;
    for (const { kind, zone, lifecycle } of offers) {
      const pool = { kind, zone, lifecycle };
      const key = keyOf(pool);
      const ready = this.#state.ready(kind, zone, lifecycle);
      const before = this.#coming.get(key);
      this.#coming.delete(key);
      if (ready >= (this.#wanted.get(key) ?? 0)) continue;
      const isNew = before === undefined || ready > before.ready || nowUs < before.sinceUs;
      const sinceUs = isNew ? nowUs : before.sinceUs;
      const lateUs = START_UPS_MAX * this.#startUpUs(kind);
      const alike = offers.filter((each) => each.kind === kind && each.lifecycle === lifecycle);
      const roundUs = alike.length * lateUs;
      if (nowUs - sinceUs <= lateUs) this.#coming.set(key, { sinceUs, ready });
      else this.refused(pool, ready, nowUs, this.#options.refusedForUs + roundUs);
    }
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
   * each kind, but one of each before a second of any: there may be work that only this kind can
   * do. It comes before the least that there should be, as it does in the plan.
   */
  withinBudget(wanted: ReadonlyMap<string, number>, nowUs: number): ReadonlyMap<string, number> {
    const budget = this.#options.rules.budgetMicrosPerHour;
    if (budget === undefined) return wanted;
    const isPaid = (counts: ReadonlyMap<string, number>): boolean => {
      let micros = 0;
      for (const [kind, count] of counts) micros += this.#price(kind, count, nowUs);
      return micros <= budget;
    };
    if (isPaid(wanted)) return wanted;
    const least = new Map<string, number>();
    for (const [kind, count] of wanted) {
      least.set(kind, Math.min(1, count));
      if (!isPaid(least)) least.set(kind, 0);
    }
    const shareOf = (share: number): ReadonlyMap<string, number> =>
      new Map(
        [...wanted].map(([kind, count]) => [
          kind,
          Math.max(least.get(kind) ?? 0, Math.floor(count * share)),
        ]),
      );
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
    const groups = this.#spread(kind, workers, nowUs, this.#readyOf(kind));
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

  #startUpUs(kind: string): number {
    const { prices, startUpUsMin = 0 } = this.#options;
    const seconds = prices.kinds.find((each) => each.kind === kind)?.startUpSeconds ?? 0;
    return Math.max(startUpUsMin, seconds * SECOND_US);
  }

  #offersOf(kind: string): readonly Offer[] {
    return this.#options.prices.offers.filter((offer) => offer.kind === kind);
  }

  /**
   * By the hour: what is to be in the pools that are open now, or what is there until then. That
   * spot which starts is paid beside whom it replaces is left out, or it could never begin.
   */
  #price(kind: string, workers: number, nowUs: number): number {
    const { offers } = this.#options.prices;
    const ready = this.#readyOf(kind);
    const present = this.#spread(kind, workers, nowUs, ready).map((group) =>
      group.lifecycle === "spot"
        ? { ...group, count: Math.min(group.count, ready(group.zone, "spot")) }
        : group,
    );
    const target = this.#spread(kind, workers, nowUs);
    return Math.max(priceOf(target, offers), priceOf(present, offers));
  }

  #readyOf(kind: string): ReadyOf {
    return (zone, lifecycle) => this.#state.ready(kind, zone, lifecycle);
  }

  #spread(kind: string, workers: number, nowUs: number, ready?: ReadyOf): WorkerGroup[] {
    const { prices, rules, workersMax } = this.#options;
    const closedOf = (pool: Pool): Closed | undefined => {
      const closed = this.#closed.get(keyOf(pool));
      if (closed === undefined) return undefined;
      const { atUs, forUs } = closed;
      return isDue(atUs + forUs, forUs, nowUs) ? undefined : closed;
    };
    return spreadWorkers(kind, workers, prices.offers, rules.spot, {
      // What was asked for is on its way; where the pool refused, as many as it has.
      present: (zone, lifecycle) => {
        const pool = { kind, zone, lifecycle };
        const wanted = this.#wanted.get(keyOf(pool)) ?? 0;
        const held = closedOf(pool)?.held ?? wanted;
        return Math.max(this.#state.ready(kind, zone, lifecycle), Math.min(wanted, held));
      },
      open: (zone, lifecycle) => closedOf({ kind, zone, lifecycle }) === undefined,
      ...(ready === undefined ? {} : { ready }),
      workersMax,
    });
  }
}

const keyOf = ({ kind, zone, lifecycle }: Pool): string => `${kind}/${zone}/${lifecycle}`;
