/**
 * The planner: from what the forecast says will be asked, what workers can do and what they cost,
 * the cheapest fleet of every step, with the reason for each number, and what it would take where
 * limits leave no plan that serves everything.
 */

import type { PriceBook } from "@millrace/costing";
import { assert } from "@millrace/std";
import { type DueWork, FILL_SHARE, fillByDue } from "./deferring.ts";
import { allowedOf, type AllowedByKind, limitOf } from "./limits.ts";
import { type PackKind, type PackModel, type Packed, packModels } from "./packing.ts";
import type {
  Capacity,
  Deferrable,
  DueRequests,
  ModelDemand,
  Plan,
  PlanRules,
  PlanStep,
  Reason,
  Waiting,
} from "./plan.ts";
import { dollars, Shortfalls } from "./shortfalls.ts";
import {
  blendedMicrosPerHour,
  priceOf,
  reasonsOfSpread,
  splitWorkers,
  spreadWorkers,
} from "./spreading.ts";

export interface PlanRequest {
  readonly startUs: number;
  readonly stepUs: number;
  /** All with rates for the same number of steps, finite and at least 0. */
  readonly demands: readonly ModelDemand[];
  readonly capacities: readonly Capacity[];
  readonly prices: PriceBook;
  readonly rules: PlanRules;
}

const HOUR_US = 3_600_000_000;
const SECOND_US = 1_000_000;
/** Bisections of the share of the load that a budget allows: to a thousandth. */
const BUDGET_HALVINGS = 10;
const WORKERS_MAX = 100_000;

export function planFleet(request: PlanRequest): Plan {
  const { startUs, stepUs, demands } = request;
  const count = demands[0]?.rates.length ?? 0;
  for (const { model, rates } of demands) {
    assert(rates.length === count, `${model} has rates for other steps than the first model`);
    assert(rates.every(isRate), `${model} has a rate that is not finite, or below 0`);
  }
  const shortfalls = new Shortfalls();
  const bounds = boundsOf(request);
  const packed = Array.from({ length: count }, (_, at) =>
    packStep(request, bounds, at, 1, shortfalls),
  );
  const deferred = deferWork(request, bounds, packed, shortfalls);
  let droppedSteps = 0;
  const steps = packed.map((each, at) => {
    const step = arrange(request, each, deferred, at, []);
    const paid = withinBudget(request, bounds, step, at, shortfalls);
    // What may wait goes first: none of it is left in a step that was cut to the budget.
    if (paid !== step) for (const { added } of deferred.values()) droppedSteps += added[at] ?? 0;
    return paid;
  });
  if (droppedSteps > 0) sayDropped(request, deferred, droppedSteps, shortfalls);
  const micros = steps.reduce((sum, step) => sum + (step.microsPerHour * stepUs) / HOUR_US, 0);
  return { startUs, stepUs, steps, micros: Math.round(micros), infeasible: shortfalls.all() };
}

const isRate = (rate: number): boolean => Number.isFinite(rate) && rate >= 0;

function packKindsOf({ prices, rules }: PlanRequest): PackKind[] {
  return prices.kinds.flatMap(({ kind, memoryBytes }) => {
    const microsPerHour = blendedMicrosPerHour(kind, prices.offers, rules.spot);
    return microsPerHour === undefined ? [] : [{ kind, memoryBytes, microsPerHour }];
  });
}

/** What is the same in every step: the kinds, and what each model may have of them. */
interface Bounds {
  readonly kinds: readonly PackKind[];
  readonly allowed: ReadonlyMap<ModelDemand, AllowedByKind>;
}

function boundsOf(request: PlanRequest): Bounds {
  const { demands, prices, rules } = request;
  const kinds = packKindsOf(request);
  const allowed = demands.map(
    (demand) => [demand, allowedOf(demand, kinds, prices, rules)] as const,
  );
  return { kinds, allowed: new Map(allowed) };
}

interface PackedStep extends Packed {
  readonly limits: readonly Reason[];
}

/** @param share of every model's load that is planned for. */
function packStep(
  request: PlanRequest,
  { allowed, kinds }: Bounds,
  at: number,
  share: number,
  shortfalls: Shortfalls,
): PackedStep {
  const atUs = request.startUs + at * request.stepUs;
  const limits: Reason[] = [];
  const models = request.demands.map((demand): PackModel => {
    const measured = plannedCapacities(request, demand);
    const wanted = (demand.rates[at] ?? 0) * share;
    const own = allowed.get(demand) ?? new Map();
    const { capacities, rate, workers } = limitOf(
      demand,
      wanted,
      measured,
      kinds,
      own,
      atUs,
      shortfalls,
    );
    if (rate < wanted) limits.push({ rule: "limit", model: demand.model, workers });
    return {
      model: demand.model,
      requestsPerSecond: rate,
      memoryBytes: demand.memoryBytes,
      copiesMin: demand.workersMin,
      capacities,
    };
  });
  const packed = packModels(models, kinds);
  for (const model of packed.unplaceable) {
    const rate = models.find((each) => each.model === model)?.requestsPerSecond ?? 0;
    shortfalls.add({
      atUs,
      of: model,
      limit: "capacity",
      needed: rate,
      allowed: 0,
      message: `${model} runs on no kind of the price book: measure it on one that can hold it`,
    });
  }
  return { ...packed, limits };
}

/** What of a worker's measured capacity is planned for, by kind. */
function plannedCapacities(
  { capacities, rules }: PlanRequest,
  { model, variant }: ModelDemand,
): Map<string, number> {
  const planned = new Map<string, number>();
  for (const each of capacities) {
    if (each.model !== model || each.variant !== variant) continue;
    planned.set(each.kind, each.requestsPerSecond * rules.utilisationMax);
  }
  return planned;
}

/** What may wait on one kind, and the workers to add for it by step. */
interface Deferred {
  readonly added: readonly number[];
  readonly waiting: Waiting;
}

/** What may wait for workers of one kind. */
interface Work {
  readonly due: readonly DueWork[];
  readonly models: readonly string[];
  /** Workers that its models may have, and whether a budget holds one of them to fewer. */
  readonly limit: number;
  readonly isBudget: boolean;
  readonly microsPerHour: number;
}

/** So that work that may wait is done when it is due, by kind. */
function deferWork(
  request: PlanRequest,
  { allowed }: Bounds,
  packed: readonly PackedStep[],
  shortfalls: Shortfalls,
): Map<string, Deferred> {
  const works = new Map<string, Work>();
  for (const demand of request.demands) {
    if (demand.deferrable === undefined) continue;
    const bulk = bulkKindOf(request, demand);
    if (bulk === undefined) continue;
    const { kind, capacity, microsPerHour } = bulk;
    const perStep = (capacity * request.stepUs) / SECOND_US;
    const due = dueOf(demand.deferrable, packed.length).map(({ withinSteps, requests }) => ({
      withinSteps,
      work: requests / perStep,
    }));
    if (due.length === 0) continue;
    const none: Work = { due: [], models: [], limit: 0, isBudget: false, microsPerHour };
    const before = works.get(kind) ?? none;
    const own = allowed.get(demand)?.get(kind);
    works.set(kind, {
      due: [...before.due, ...due],
      models: [...before.models, demand.model],
      limit: before.limit + (own?.workers ?? 0),
      isBudget: before.isBudget || own?.isBudget === true,
      microsPerHour,
    });
  }
  return new Map(
    [...works].map(([kind, { due, limit, models, isBudget, microsPerHour }]) => {
      const paid = Math.floor((request.rules.budgetMicrosPerHour ?? Infinity) / microsPerHour);
      const most = Math.min(limit, paid);
      const troughs = packed.map((step, at) => ({
        workers: step.workers.get(kind) ?? 0,
        free:
          (step.free.get(kind) ?? 0) +
          expectedRoom(request, step, kind, at) +
          spareOf(request, step.workers.get(kind) ?? 0),
        // Beside the workers that its models have for what does not wait.
        most: Math.max(0, limit - copiesOf(step, kind, models)),
      }));
      const { added, undone } = fillByDue(troughs, due, Math.min(WORKERS_MAX, paid));
      const amount = due.reduce((sum, { work }) => sum + work, 0);
      const hours = (work: number): number => (work * request.stepUs) / HOUR_US;
      const isHeld = isBudget || paid < limit;
      if (undone > 0) {
        shortfalls.addUndone({
          of: `deferrable work of ${models.join(", ")}`,
          limit: isHeld ? "budget" : "workersMax",
          hours: hours(amount),
          undoneHours: hours(undone),
          by: `by ${most} workers${isHeld ? ", which is what the budget pays for" : ""}`,
        });
      }
      const workerHours = hours(amount);
      return [kind, { added, waiting: { models, workerHours } }];
    }),
  );
}

const copiesOf = (step: PackedStep, kind: string, models: readonly string[]): number =>
  step.placements
    .filter((each) => each.kind === kind && models.includes(each.model))
    .reduce((sum, { copies }) => sum + copies, 0);

/** When what waits and what comes is due; together where that is in the same step. */
function dueOf({ arrivals, backlog, due = [], waitSteps }: Deferrable, steps: number) {
  const byStep = new Map<number, number>();
  const add = (withinSteps: number, requests: number): void => {
    if (requests <= 0) return;
    const within = Math.max(1, Math.min(steps, withinSteps));
    byStep.set(within, (byStep.get(within) ?? 0) + requests);
  };
  for (const { requests, withinSteps } of due) add(withinSteps, requests);
  add(steps, backlog - due.reduce((sum, { requests }) => sum + requests, 0));
  for (const [at, requests] of arrivals.entries()) {
    add(at + 1 + (waitSteps ?? Number.POSITIVE_INFINITY), requests);
  }
  return [...byStep].map(([withinSteps, requests]): DueRequests => ({ withinSteps, requests }));
}

/** Spot workers that only stand by for others are free for work that may wait. */
const spareOf = ({ rules }: PlanRequest, workers: number): number =>
  rules.spot === undefined ? 0 : splitWorkers(workers, rules.spot).spare;

/** Workers' worth of time that the mean load leaves of what is kept for its peak. */
function expectedRoom(request: PlanRequest, step: PackedStep, kind: string, at: number): number {
  let room = 0;
  for (const { model, kind: on, requestsPerSecond } of step.placements) {
    const demand = request.demands.find((each) => each.model === model);
    if (on !== kind || demand?.meanRates === undefined) continue;
    const peak = demand.rates[at] ?? 0;
    const unused = peak === 0 ? 0 : Math.max(0, 1 - (demand.meanRates[at] ?? 0) / peak);
    const capacity = plannedCapacities(request, demand).get(kind) ?? Infinity;
    room += (requestsPerSecond * unused) / capacity;
  }
  return room;
}

/** The kind whose requests are cheapest for the model. */
function bulkKindOf(request: PlanRequest, demand: ModelDemand) {
  const capacities = plannedCapacities(request, demand);
  const able = packKindsOf(request).flatMap(({ kind, microsPerHour }) => {
    const capacity = capacities.get(kind) ?? 0;
    return capacity === 0 ? [] : [{ kind, capacity, microsPerHour }];
  });
  const unit = (each: (typeof able)[number]): number => each.microsPerHour / each.capacity;
  return able.sort((a, b) => unit(a) - unit(b))[0];
}

function arrange(
  { startUs, stepUs, prices, rules }: PlanRequest,
  packed: PackedStep,
  deferred: ReadonlyMap<string, Deferred>,
  at: number,
  reasons: readonly Reason[],
): PlanStep {
  const atUs = startUs + at * stepUs;
  const needed = new Map<string, number>();
  const all: Reason[] = [...reasons, ...packed.limits];
  let startUpUs = 0;
  const workers = prices.kinds.flatMap(({ kind, startUpSeconds }) => {
    const own = packed.workers.get(kind) ?? 0;
    const { added = [], waiting } = deferred.get(kind) ?? {};
    const more = added[at] ?? 0;
    if (own + more === 0) return [];
    needed.set(kind, own + more);
    startUpUs = Math.max(startUpUs, startUpSeconds * SECOND_US);
    const groups = spreadWorkers(kind, own + more, prices.offers, rules.spot);
    const models = packed.placements.filter((each) => each.kind === kind);
    const loadWorkers = own - (packed.free.get(kind) ?? 0);
    all.push({
      rule: "load",
      kind,
      workers: own,
      models: models.map((each) => each.model),
      loadWorkers,
    });
    if (waiting !== undefined) all.push({ rule: "deferred", kind, workers: more, ...waiting });
    if (rules.spot !== undefined) all.push(...reasonsOfSpread(kind, own + more, groups));
    return groups;
  });
  const microsPerHour = priceOf(workers, prices.offers);
  const orderAtUs = atUs - startUpUs;
  const { placements } = packed;
  return { atUs, orderAtUs, needed, workers, placements, microsPerHour, reasons: all };
}

/** The step itself, or the largest share of its load that the fleet's budget pays for. */
function withinBudget(
  request: PlanRequest,
  bounds: Bounds,
  step: PlanStep,
  at: number,
  shortfalls: Shortfalls,
): PlanStep {
  const budget = request.rules.budgetMicrosPerHour;
  if (budget === undefined || step.microsPerHour <= budget) return step;
  const planned = (share: number): PlanStep => {
    const packed = packStep(request, bounds, at, share, new Shortfalls());
    return arrange(request, packed, new Map(), at, [{ rule: "budget", servedShare: share }]);
  };
  const whole = planned(1);
  const { atUs, microsPerHour: needed } = whole;
  if (needed <= budget) return whole;
  const of = "the fleet";
  shortfalls.addLimit({ of, limit: "budget", needed, allowed: budget, atUs }, budget / needed);
  let low = 0;
  let high = 1;
  for (let halving = 0; halving < BUDGET_HALVINGS; halving++) {
    const middle = (low + high) / 2;
    if (planned(middle).microsPerHour <= budget) low = middle;
    else high = middle;
  }
  const least = planned(low);
  // Not even the models' least copies are paid for: nothing runs rather than more than is allowed.
  return least.microsPerHour <= budget ? least : empty(least);
}

function sayDropped(
  { rules, stepUs }: PlanRequest,
  deferred: ReadonlyMap<string, Deferred>,
  droppedSteps: number,
  shortfalls: Shortfalls,
): void {
  const hours = [...deferred.values()].reduce((sum, { waiting }) => sum + waiting.workerHours, 0);
  const room = (FILL_SHARE * droppedSteps * stepUs) / HOUR_US;
  shortfalls.addUndone({
    of: "deferrable work of the fleet",
    limit: "budget",
    hours,
    undoneHours: Math.min(hours, room),
    by: `within the fleet's budget of ${dollars(rules.budgetMicrosPerHour ?? 0)}`,
  });
}

const empty = (step: PlanStep): PlanStep => ({
  ...step,
  needed: new Map(),
  workers: [],
  placements: [],
  microsPerHour: 0,
  reasons: [{ rule: "budget", servedShare: 0 }],
});
