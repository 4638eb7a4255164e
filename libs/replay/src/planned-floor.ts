/** The plan of a planned policy, made anew with every forecast, and the floor that it sets. */

import { type Plan, planFleet, type PlanRules } from "@millrace/planning";
import type { ForecastSource, LoadForecast } from "./forecasts.ts";
import { TICK_US } from "./load.ts";
import type { Observation } from "./controllers.ts";
import type { Policy } from "./policies.ts";
import type { World } from "./world.ts";

const MODEL = "replayed";
const SECOND_US = 1_000_000;
const HOUR_US = 3_600 * SECOND_US;

export class PlannedFloor {
  readonly #world: World;
  readonly #policy: Policy;
  readonly #source: ForecastSource;
  readonly #perSecond: number;
  readonly #overruled = new Set<string>();
  #madeAtUs = Number.NEGATIVE_INFINITY;
  #plan: Plan | undefined;
  #infeasible = 0;

  constructor(world: World, policy: Policy, source: ForecastSource, perSecond: number) {
    this.#world = world;
    this.#policy = policy;
    this.#source = source;
    this.#perSecond = perSecond;
  }

  /** What of the forecasts was not believed, in words. */
  get overruled(): readonly string[] {
    return [...this.#overruled];
  }

  /** Plans that could not serve everything within their limits. */
  get infeasiblePlans(): number {
    return this.#infeasible;
  }

  /** The most workers that the plan wants until a worker ordered now is ready. */
  at({ nowUs, waiting }: Observation): number {
    const madeAtUs = this.#source.madeAtUs(nowUs);
    if (madeAtUs !== this.#madeAtUs) {
      this.#madeAtUs = madeAtUs;
      this.#plan = this.#makePlan(this.#source.at(nowUs), nowUs, waiting);
    }
    const plan = this.#plan;
    if (plan === undefined) return 0;
    const { kind } = this.#world.settings;
    const untilUs = nowUs + this.#world.settings.startUpSeconds * SECOND_US + TICK_US;
    const first = Math.max(0, Math.floor((nowUs - plan.startUs) / plan.stepUs));
    const last = Math.floor((untilUs - plan.startUs) / plan.stepUs);
    let floor = 0;
    for (let at = first; at <= last; at++) {
      floor = Math.max(floor, plan.steps[at]?.needed.get(kind) ?? 0);
    }
    return floor;
  }

  #makePlan(forecast: LoadForecast, nowUs: number, waiting: number): Plan {
    const { settings, prices, kind } = this.#world;
    for (const line of forecast.overruled) this.#overruled.add(line);
    const deferred = this.#policy.defers ? settings.deferrableShare : 0;
    const seconds = forecast.stepUs / SECOND_US;
    // The past part of the forecast's first hour is over; the plan begins where it ends.
    const passed = Math.max(0, Math.floor((nowUs - forecast.startUs) / forecast.stepUs));
    // Only work that may wait looks at the whole day; the rest is planned again before it comes.
    const aheadUs = HOUR_US + settings.startUpSeconds * SECOND_US;
    const steps = deferred > 0 ? undefined : Math.ceil(aheadUs / forecast.stepUs) + 1;
    const ahead = (rates: readonly number[], share: number): number[] =>
      rates.slice(passed, steps && passed + steps).map((rate) => rate * share);
    const rules: PlanRules = {
      utilisationMax: settings.utilisationMax,
      spot: this.#policy.spot ? settings.spot : undefined,
    };
    const plan = planFleet({
      startUs: forecast.startUs + passed * forecast.stepUs,
      stepUs: forecast.stepUs,
      demands: [
        {
          model: MODEL,
          variant: this.#policy.variant,
          rates: ahead(forecast.peak, 1 - deferred),
          meanRates: ahead(forecast.mean, 1 - deferred),
          memoryBytes: Math.min(kind.memoryBytes, 2 ** 30),
          workersMin: settings.follow.workersMin,
          workersMax: settings.follow.workersMax,
          ...(deferred > 0 && {
            deferrable: {
              backlog: waiting,
              arrivals: ahead(forecast.mean, deferred * seconds),
            },
          }),
        },
      ],
      capacities: [
        {
          model: MODEL,
          variant: this.#policy.variant,
          kind: kind.kind,
          requestsPerSecond: this.#perSecond,
        },
      ],
      prices,
      rules,
    });
    if (plan.infeasible.length > 0) this.#infeasible++;
    return plan;
  }
}
