/** What a plan is asked for and what it says: demand, capacity, rules, and a fleet per step. */

import type { Lifecycle } from "@millrace/costing";

/** What one model will need. Rates are requests per second, one per step of the horizon. */
export interface ModelDemand {
  readonly model: string;
  /** `fp32`, `int8` and the like: which of the model's measured capacities counts. */
  readonly variant: string;
  /** The forecast's quantile of the peak rate within each step: what must be served at once. */
  readonly rates: readonly number[];
  /**
   * The forecast's mean, from which the time left for deferrable work follows; `rates` otherwise.
   */
  readonly meanRates?: readonly number[];
  readonly deferrable?: Deferrable;
  /** Of one resident copy. */
  readonly memoryBytes: number;
  /** Copies. A model with a least of 0 may leave every device while nothing is asked of it. */
  readonly workersMin: number;
  readonly workersMax: number;
  readonly budgetMicrosPerHour?: number;
}

/** Work that may wait, in requests. */
export interface Deferrable {
  readonly backlog: number;
  readonly arrivals: readonly number[];
  /** What arrives may wait for so many steps; to the end of the horizon unless given. */
  readonly waitSteps?: number;
  /** What of the backlog is due within the first so many steps; the rest by the end. */
  readonly due?: readonly DueRequests[];
}

export interface DueRequests {
  readonly withinSteps: number;
  readonly requests: number;
}

/** Requests per second that one worker serves within the model's objective, as measured. */
export interface Capacity {
  readonly model: string;
  readonly variant: string;
  readonly kind: string;
  readonly requestsPerSecond: number;
}

export interface PlanRules {
  /** Share of a worker's capacity that is planned for. */
  readonly utilisationMax: number;
  readonly spot: SpotRules | undefined;
  readonly budgetMicrosPerHour?: number;
}

export interface SpotRules {
  /** Share of the workers that is on demand, rounded up. */
  readonly onDemandShareMin: number;
  readonly onDemandMin: number;
  /** Spot workers beyond the need, as a share of it, rounded to the nearest. */
  readonly overProvision: number;
  /** Largest share of the spot workers in one zone. */
  readonly zoneShareMax: number;
}

/**
 * One setting for every load: measured as the best compromise over five traces before the project
 * began, and not tuned since.
 */
export const PLAN_RULES: PlanRules = { utilisationMax: 0.95, spot: undefined };
export const SPOT_RULES: SpotRules = {
  onDemandShareMin: 0.1,
  onDemandMin: 1,
  overProvision: 0.15,
  zoneShareMax: 0.6,
};

export interface WorkerGroup {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
  readonly count: number;
}

/** Which share of a model's requests, and how many of its copies, lie on a kind. */
export interface Placement {
  readonly model: string;
  readonly kind: string;
  readonly copies: number;
  readonly requestsPerSecond: number;
}

export interface PlanStep {
  readonly atUs: number;
  /** Workers by kind that the load needs, before spot is over-provisioned. */
  readonly needed: ReadonlyMap<string, number>;
  /** When the latest-starting of the step's workers must be ordered. */
  readonly orderAtUs: number;
  readonly workers: readonly WorkerGroup[];
  readonly placements: readonly Placement[];
  readonly microsPerHour: number;
  readonly reasons: readonly Reason[];
}

/** Why a number is what it is; `describeReason` puts it in words. */
export type Reason =
  | {
      readonly rule: "load";
      readonly kind: string;
      readonly workers: number;
      readonly models: readonly string[];
      readonly loadWorkers: number;
    }
  | { readonly rule: "base"; readonly kind: string; readonly workers: number }
  | {
      readonly rule: "spot";
      readonly kind: string;
      readonly workers: number;
      readonly need: number;
    }
  | { readonly rule: "no-spot"; readonly kind: string }
  /** Workers that are there for work that may wait; none where there is room without. */
  | ({ readonly rule: "deferred"; readonly kind: string; readonly workers: number } & Waiting)
  | { readonly rule: "budget"; readonly servedShare: number }
  | { readonly rule: "limit"; readonly model: string; readonly workers: number };

/** What may wait, over the whole horizon, in hours of one worker. */
export interface Waiting {
  readonly models: readonly string[];
  readonly workerHours: number;
}

export function describeReason(reason: Reason): string {
  switch (reason.rule) {
    case "load":
      return (
        `${reason.workers} ${reason.kind}: ${reason.loadWorkers.toFixed(2)} workers' load of ` +
        reason.models.join(", ")
      );
    case "base":
      return `${reason.workers} ${reason.kind} on demand: the base that no interruption reaches`;
    case "spot":
      return `${reason.workers} ${reason.kind} spot for a need of ${reason.need}`;
    case "no-spot":
      return `${reason.kind} on demand: spot is not cheaper, or not offered`;
    case "deferred":
      return describeWaiting(reason);
    case "budget":
      return `${percent(reason.servedShare)} of the load: the budget allows no more`;
    case "limit":
      return `${reason.model} held at ${reason.workers} workers: its own limit`;
  }
}

function describeWaiting({
  kind,
  models,
  workerHours,
  workers,
}: Extract<Reason, { readonly rule: "deferred" }>): string {
  const what = `${workerHours.toFixed(1)} worker-hours of ${models.join(", ")} may wait`;
  if (workers === 0) return `no ${kind} more: ${what}, and have room elsewhere`;
  return `${workers} more ${kind}: ${what}, and need this trough`;
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** A need that the limits do not allow, and what would. */
export interface Shortfall {
  readonly atUs: number;
  /** The fleet, or a model. */
  readonly of: string;
  readonly limit: "budget" | "workersMax" | "capacity";
  readonly needed: number;
  readonly allowed: number;
  readonly message: string;
}

export interface Plan {
  readonly startUs: number;
  readonly stepUs: number;
  readonly steps: readonly PlanStep[];
  /** Of the whole horizon. */
  readonly micros: number;
  /** The worst step of each limit that binds; empty where the plan meets every objective. */
  readonly infeasible: readonly Shortfall[];
}

/**
 * Workers of a kind that the step that holds `atUs` needs; 0 outside the plan. Without the spare of
 * spot: whoever spreads them over zones adds that.
 */
export function plannedWorkers(plan: Plan, kind: string, atUs: number): number {
  const step = plan.steps[Math.floor((atUs - plan.startUs) / plan.stepUs)];
  return step?.needed.get(kind) ?? 0;
}

export function countOf(workers: readonly WorkerGroup[], kind: string): number {
  let count = 0;
  for (const group of workers) if (group.kind === kind) count += group.count;
  return count;
}
