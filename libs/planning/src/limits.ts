/** What a model's own limits allow: so many workers of a kind, so what rate, on which kinds. */

import type { PriceBook } from "@millrace/costing";
import type { PackKind } from "./packing.ts";
import type { ModelDemand, PlanRules } from "./plan.ts";
import type { Shortfalls } from "./shortfalls.ts";
import { workersPaid } from "./spreading.ts";

export interface Allowed {
  readonly workers: number;
  /** They are fewer than `workersMax`, because the budget pays for no more. */
  readonly isBudget: boolean;
}

/** Workers that the model may have, by kind, were they all of that kind. */
export type AllowedByKind = ReadonlyMap<string, Allowed>;

export function allowedOf(
  { budgetMicrosPerHour: budget, workersMax }: ModelDemand,
  kinds: readonly PackKind[],
  { offers }: PriceBook,
  { spot }: PlanRules,
): AllowedByKind {
  const paidOf = (kind: string): number =>
    budget === undefined ? workersMax : workersPaid(kind, budget, workersMax, offers, spot);
  return new Map(
    kinds.map(({ kind }) => {
      const workers = paidOf(kind);
      return [kind, { workers, isBudget: workers < workersMax }];
    }),
  );
}

export interface Limited {
  readonly rate: number;
  /** To how many workers the limits hold it, where they do. */
  readonly workers: number;
  /** Of the kinds on which that rate keeps to the limits. */
  readonly capacities: ReadonlyMap<string, number>;
}

const EPSILON = 1e-9;

/** @param capacities what is planned for of one worker, by kind. */
export function limitOf(
  demand: ModelDemand,
  wanted: number,
  capacities: ReadonlyMap<string, number>,
  kinds: readonly PackKind[],
  allowed: AllowedByKind,
  atUs: number,
  shortfalls: Shortfalls,
): Limited {
  const { budgetMicrosPerHour: budget = Infinity, model, workersMax } = demand;
  const able = kinds.flatMap(({ kind, microsPerHour }) => {
    const capacity = capacities.get(kind) ?? 0;
    const { isBudget, workers } = allowed.get(kind) ?? { isBudget: false, workers: workersMax };
    if (capacity === 0) return [];
    const needed = Math.ceil(wanted / capacity);
    const micros = needed * microsPerHour;
    return [{ kind, capacity, rate: workers * capacity, workers, needed, micros, isBudget }];
  });
  // Where the limits allow no worker of any kind, the cheapest says what it would take.
  const best = able.toSorted((a, b) => b.rate - a.rate || a.micros - b.micros)[0];
  if (best === undefined) return { rate: wanted, workers: 0, capacities };
  const rate = Math.min(wanted, best.rate);
  const within = able.filter(({ capacity, workers }) => rate / capacity <= workers + EPSILON);
  const limited = {
    rate,
    workers: best.workers,
    capacities: new Map(within.map(({ kind, capacity }) => [kind, capacity])),
  };
  if (rate === wanted) return limited;
  const limit = best.isBudget
    ? ({ limit: "budget", needed: best.micros, allowed: budget } as const)
    : ({ limit: "workersMax", needed: best.needed, allowed: workersMax } as const);
  shortfalls.addLimit({ of: model, atUs, ...limit }, best.rate / wanted);
  return limited;
}
