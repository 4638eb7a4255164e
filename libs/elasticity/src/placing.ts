/** Which kind of workers a model's load is counted on, and how much of it the model may have. */

import type { ModelLimits, PriceBook } from "@millrace/costing";
import {
  blendedMicrosPerHour,
  type FollowOptions,
  type Placement,
  type Plan,
  type PlanRules,
  workersPaid,
} from "@millrace/planning";
import type { FleetState } from "./fleet-state.ts";

export interface PlacingOptions {
  readonly kinds: readonly string[];
  /** Of single models. */
  readonly limits?: ReadonlyMap<string, ModelLimits>;
  readonly prices: PriceBook;
  readonly rules: PlanRules;
  readonly follow: FollowOptions;
}

export class Placing {
  readonly #options: PlacingOptions;
  readonly #state: FleetState;
  /** What a worker costs by the hour, by kind. */
  readonly #prices: ReadonlyMap<string, number>;
  /** Workers that a model may have of a kind, by both. */
  readonly #most = new Map<string, number>();

  constructor(options: PlacingOptions, state: FleetState) {
    this.#options = options;
    this.#state = state;
    const { kinds, prices, rules } = options;
    const priceOf = (kind: string): number =>
      blendedMicrosPerHour(kind, prices.offers, rules.spot) ?? Number.POSITIVE_INFINITY;
    this.#prices = new Map(kinds.map((kind) => [kind, priceOf(kind)]));
  }

  /** Where the plan puts the model now. */
  placementsOf(plan: Plan | undefined, model: string, nowUs: number): readonly Placement[] {
    const step = plan?.steps[Math.floor((nowUs - plan.startUs) / plan.stepUs)];
    return (step?.placements ?? []).filter((each) => each.model === model);
  }

  /** Of the model's requests, as the plan divides them; all on one kind where it foresees none. */
  shareOf(plan: Plan | undefined, kind: string, model: string, nowUs: number): number {
    const placed = this.placementsOf(plan, model, nowUs);
    const sum = placed.reduce((total, { requestsPerSecond }) => total + requestsPerSecond, 0);
    if (sum === 0) return kind === this.#homeOf(model, placed) ? 1 : 0;
    const here = placed.filter((each) => each.kind === kind);
    return here.reduce((total, { requestsPerSecond }) => total + requestsPerSecond, 0) / sum;
  }

  /**
   * The kind for load that nobody foresaw: where the plan keeps a copy all the same, else the one
   * that was measured to be cheapest for it, else the first, where it will be measured.
   */
  #homeOf(model: string, placed: readonly Placement[]): string | undefined {
    const { kinds } = this.#options;
    const [held] = placed;
    if (held !== undefined) return held.kind;
    const microsPerRow = (kind: string): number =>
      (this.#prices.get(kind) ?? 0) / (this.#state.measured.rate(kind, model) ?? 0);
    return kinds.reduce((best, kind) => (microsPerRow(kind) < microsPerRow(best) ? kind : best));
  }

  /** Workers' worth of load above which the model would get more workers than it may have. */
  mostLoad(kind: string, model: string): number {
    // Just below, because what is a hair above it is rounded up to one worker more.
    return this.#mostWorkers(kind, model) * this.#options.follow.guardUtilisation * 0.999;
  }

  #mostWorkers(kind: string, model: string): number {
    const { follow, limits, prices, rules } = this.#options;
    const own = limits?.get(model);
    if (own === undefined) return Number.POSITIVE_INFINITY;
    const { budgetMicrosPerHour: budget, workersMax = follow.workersMax } = own;
    if (budget === undefined) return workersMax;
    const key = `${kind}/${model}`;
    const known = this.#most.get(key);
    if (known !== undefined) return known;
    const most = workersPaid(kind, budget, workersMax, prices.offers, rules.spot);
    this.#most.set(key, most);
    return most;
  }
}
