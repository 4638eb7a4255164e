/**
 * Two loops over one fleet. The slow one turns forecasts into a plan, which is a floor; the fast
 * one adds to it for what arrives and waits now, and gives back slowly. Both count in workers: a
 * model's rows are divided by what one worker of the kind was measured to do, so models share a
 * fleet.
 *
 * The structure is that of NVIDIA Dynamo's planner (a throughput loop as the lower bound of a load
 * loop), with a day's horizon in place of one step.
 */

import type { ModelLimits, PriceBook } from "@millrace/costing";
import {
  type Decision,
  FollowingCore,
  type FollowOptions,
  type ModelDemand,
  type Plan,
  planFleet,
  plannedWorkers,
  type PlanRules,
  STEP_RULE,
  workersByRule,
} from "@millrace/planning";
import { splitRef } from "@millrace/protocol";
import { assert, present } from "@millrace/std";
import { Deferral } from "./deferral.ts";
import { isDue } from "./due.ts";
import type { ElasticEffect, ElasticEvent } from "./events.ts";
import { FleetState, type FleetStateOptions, loadOf } from "./fleet-state.ts";
import { Forecasts } from "./forecasts.ts";
import { Placing } from "./placing.ts";
import { Pools } from "./pools.ts";

const SECOND_US = 1_000_000;
/** Jobs are read as often as the loop looks, and a read may fail. */
const UNEXPLAINED_INTERVALS = 4;

/**
 * `forecast` is the plan's floor and the loop above it, `reactive` the loop alone. `step-rule` is
 * the rule of thumb on the load now, to be compared with.
 */
export const FLEET_POLICIES = ["forecast", "reactive", "step-rule"] as const;
export type FleetPolicy = (typeof FLEET_POLICIES)[number];

export interface ElasticOptions extends FleetStateOptions {
  /** `forecast` by default. */
  readonly policy?: FleetPolicy;
  /** Of single models, in place of what holds for all. */
  readonly limits?: ReadonlyMap<string, ModelLimits>;
  /** How long batch work may wait where the model's limits do not say it; 0 by default. */
  readonly batchWaitUs?: number;
  readonly prices: PriceBook;
  /** Kinds whose pools are scaled; other workers are counted and left alone. */
  readonly kinds: readonly string[];
  readonly rules: PlanRules;
  readonly follow: FollowOptions;
  /**
   * Which line of the forecast must be served at once: a key of its quantiles, best of requests.
   */
  readonly quantile: string;
  readonly refitUs: number;
  readonly planUs: number;
  /** So long it only listens after its start: who is there is not known before. */
  readonly settleUs: number;
  /** A pool that refused is left alone for so long. */
  readonly refusedForUs: number;
  /** A start takes this long at least, whatever the price book says; 0 by default. */
  readonly startUpUsMin?: number;
}

type Decided = Extract<ElasticEffect, { readonly type: "decided" }>;

/** What is to be done, in workers of a kind. */
interface Work {
  readonly load: number;
  readonly queued: number;
  /** Rows a second of all models that the plan puts there. */
  readonly rows: number;
  /** There is work of models that no worker of the kind has held yet. */
  readonly unmeasured: boolean;
}

export class ElasticCore {
  readonly #options: ElasticOptions;
  readonly #state: FleetState;
  readonly #deferral: Deferral;
  readonly #forecasts: Forecasts;
  #following: ReadonlyMap<string, FollowingCore>;
  readonly #pools: Pools;
  readonly #placing: Placing;
  #plan: Plan | undefined;
  #refitAtUs = 0;
  #planAtUs = 0;
  #wakeAtUs = 0;
  #settledAtUs: number | undefined;
  #phase: "listening" | "adopting" | "following" = "listening";

  constructor(options: ElasticOptions) {
    assert(options.kinds.length > 0, "an elastic fleet has kinds of workers");
    this.#options = options;
    this.#state = new FleetState(options);
    const graceUs = UNEXPLAINED_INTERVALS * options.follow.intervalUs;
    this.#deferral = new Deferral((model) => this.#batchWaitUs(model), graceUs);
    this.#forecasts = new Forecasts(options.quantile, this.#deferral);
    this.#pools = new Pools({ ...options, workersMax: options.follow.workersMax }, this.#state);
    this.#placing = new Placing(options, this.#state);
    this.#following = this.#makeFollowing();
  }

  get wakeAtUs(): number {
    return this.#wakeAtUs;
  }

  get plan(): Plan | undefined {
    return this.#plan;
  }

  /** Whether what is sent to the model as batch may wait, and is to be forecast by itself. */
  defers(model: string): boolean {
    return this.#deferral.waitUs(model) > 0;
  }

  step(event: ElasticEvent, nowUs: number): ElasticEffect[] {
    switch (event.type) {
      case "workerHeard":
        this.#state.heard(event, nowUs);
        return [];
      case "workerLost":
        this.#state.lost(event.id);
        return [];
      case "loadsHeard":
        this.#state.loads(event, nowUs);
        this.#rouse(event, nowUs);
        return [];
      case "jobsHeard":
        if (this.#deferral.heard(event.jobs)) this.#planAtUs = nowUs;
        return [];
      case "forecastMade":
        this.#planAtUs = nowUs;
        return this.#forecasts.made(event);
      case "poolRefused":
        this.#pools.refused(event.pool, event.held, nowUs);
        return [];
      case "leaseTaken":
        this.#startAnew(nowUs);
        return [];
      case "woke":
        return this.#woke(nowUs);
    }
  }

  /**
   * As a new process does: another may have changed everything that runs, and what was seen of the
   * load before is no mean of it. Forecasts and what was measured hold.
   */
  #startAnew(nowUs: number): void {
    this.#following = this.#makeFollowing();
    this.#pools.forget();
    this.#phase = "listening";
    this.#settledAtUs = undefined;
    this.#planAtUs = nowUs;
    this.#wakeAtUs = nowUs;
  }

  #makeFollowing(): ReadonlyMap<string, FollowingCore> {
    const { follow, kinds } = this.#options;
    return new Map(kinds.map((kind) => [kind, new FollowingCore(follow)]));
  }

  /** A request that waits for a fleet of nobody does not wait for the next look as well. */
  #rouse({ loads }: Extract<ElasticEvent, { type: "loadsHeard" }>, nowUs: number): void {
    if (this.#phase !== "following" || this.#options.follow.advisory) return;
    const waits = (load: (typeof loads)[number]): boolean =>
      load.queuedRows > 0 &&
      this.#deferral.urgent(splitRef(load.ref).name, loadOf(load), nowUs).queuedRows > 0;
    if (!loads.some(waits)) return;
    const isAny = this.#options.kinds.some((kind) => this.#state.ready(kind) > 0);
    if (!isAny && !this.#pools.asked) this.#wakeAtUs = Math.min(this.#wakeAtUs, nowUs);
  }

  /** Only a plan that is followed has room for what waits. */
  #batchWaitUs(model: string): number {
    const { batchWaitUs = 0, limits, policy = "forecast" } = this.#options;
    if (policy !== "forecast") return 0;
    const seconds = limits?.get(model)?.batchWaitSeconds;
    return seconds === undefined ? batchWaitUs : seconds * SECOND_US;
  }

  #woke(nowUs: number): ElasticEffect[] {
    const { follow, planUs, refitUs } = this.#options;
    const effects: ElasticEffect[] = [];
    this.#wakeAtUs = nowUs + follow.intervalUs;
    this.#state.expire(nowUs);
    if (isDue(this.#refitAtUs, refitUs, nowUs)) {
      this.#refitAtUs = nowUs + refitUs;
      effects.push({ type: "refit" });
    }
    if (isDue(this.#planAtUs, planUs, nowUs)) {
      this.#planAtUs = nowUs + planUs;
      const models = this.#unforeseen();
      if (models.length > 0) effects.push({ type: "refit", models });
      this.#makePlan(effects, nowUs);
    }
    this.#settledAtUs ??= nowUs + this.#options.settleUs;
    if (!isDue(this.#settledAtUs, this.#options.settleUs, nowUs)) return effects;
    if (this.#phase === "listening") this.#phase = "adopting";
    effects.push(...this.#follow(nowUs));
    this.#phase = "following";
    return effects;
  }

  #makePlan(effects: ElasticEffect[], nowUs: number): void {
    const { prices, rules } = this.#options;
    const capacities = this.#state.measured.capacities();
    // A forecast that ran out, as that of a model that is gone, takes no floor from the others.
    const demands = this.#demands(nowUs).filter(
      ({ model, rates }) =>
        rates.length > 0 && capacities.some((capacity) => capacity.model === model),
    );
    if (demands.length === 0) return;
    const steps = Math.min(...demands.map(({ rates }) => rates.length));
    const { stepUs } = present(this.#forecasts.first, "a forecast");
    const startUs = Math.floor(nowUs / stepUs) * stepUs;
    const whole = demands.map((demand): ModelDemand => {
      const deferrable = this.#deferral.of(demand.model, startUs, stepUs, steps);
      const rates = demand.rates.slice(0, steps);
      return { ...demand, rates, ...(deferrable === undefined ? {} : { deferrable }) };
    });
    this.#deferral.planned(
      whole.flatMap(({ deferrable, model }) => (deferrable === undefined ? [] : [model])),
    );
    this.#plan = planFleet({
      startUs,
      stepUs,
      demands: whole,
      capacities: capacities.filter(({ kind }) => this.#options.kinds.includes(kind)),
      prices,
      rules,
    });
    effects.push({ type: "planned", plan: this.#plan });
  }

  /** A model that is new does not wait for the next refit. */
  #unforeseen(): readonly string[] {
    return [...this.#state.demand().keys()].filter((model) => !this.#forecasts.all.has(model));
  }

  /** Rows a second of every model with a forecast, from the present step on. */
  #demands(nowUs: number): ModelDemand[] {
    const { follow } = this.#options;
    return [...this.#forecasts.all].map(([model, { meanRates, rates, startUs, stepUs }]) => {
      const from = Math.max(0, Math.floor((nowUs - startUs) / stepUs));
      return {
        model,
        variant: this.#state.measured.variant(model),
        rates: rates.slice(from),
        meanRates: meanRates.slice(from),
        memoryBytes: this.#state.measured.bytes(model),
        workersMin: follow.workersMin,
        workersMax: follow.workersMax,
        ...this.#options.limits?.get(model),
      };
    });
  }

  #decide(kind: string, core: FollowingCore, nowUs: number): Decided {
    const { load, queued, rows, unmeasured } = this.#workOf(kind, nowUs);
    const ready = this.#state.ready(kind);
    const seen = { type: "decided", kind, load, queued, ready } as const;
    if (this.#options.policy === "step-rule") return { ...seen, decision: this.#byRule(rows) };
    const least = this.#leastOutsidePlan(kind, nowUs);
    // What another left running was needed: it is given back as slowly as one's own.
    const adopted = this.#phase === "adopting" ? this.#pools.needBehind(kind) : 0;
    const decision = core.step(
      {
        type: "observed",
        arrivalsPerSecond: load,
        queued,
        readyWorkers: ready,
        perWorkerPerSecond: 1,
        // One worker is enough to measure what none of the kind has held yet.
        floorWorkers: Math.max(adopted, this.#floor(kind, nowUs), least, unmeasured ? 1 : 0),
      },
      nowUs,
    );
    return { ...seen, decision };
  }

  /** What every kind needs is known before any is told: one budget pays for them all. */
  #follow(nowUs: number): ElasticEffect[] {
    this.#pools.look(nowUs);
    const decided = [...this.#following].map(([kind, core]) => this.#decide(kind, core, nowUs));
    const wanted = new Map(decided.map(({ decision, kind }) => [kind, decision.workers]));
    const paid = this.#pools.withinBudget(wanted, nowUs);
    return decided.flatMap((each): ElasticEffect[] => {
      const { kind } = each;
      const workers = paid.get(kind) ?? 0;
      const isCut = workers < each.decision.workers;
      const decision: Decision = isCut
        ? { ...each.decision, workers, because: "budget" }
        : each.decision;
      const wants = decision.binding ? this.#pools.want(kind, workers, nowUs) : [];
      return [{ ...each, decision }, ...wants];
    });
  }

  /** The rule looks at nothing but the load, and holds nothing back. */
  #byRule(load: number): Decision {
    const { advisory, workersMax, workersMin } = this.#options.follow;
    const ruled = workersByRule(STEP_RULE, load);
    const workers = Math.max(workersMin, Math.min(workersMax, ruled));
    return { workers, because: "rule", floorWorkers: 0, binding: !advisory };
  }

  /** The most that the plan wants from now until a worker that is ordered now is ready. */
  #floor(kind: string, nowUs: number): number {
    const plan = this.#plan;
    if (plan === undefined || this.#options.policy === "reactive") return 0;
    const startUp = this.#options.prices.kinds.find((each) => each.kind === kind)?.startUpSeconds;
    const untilUs = nowUs + (startUp ?? 0) * SECOND_US;
    let floor = 0;
    for (let atUs = nowUs; ; atUs = Math.min(untilUs, atUs + plan.stepUs)) {
      floor = Math.max(floor, plannedWorkers(plan, kind, atUs));
      if (atUs >= untilUs) return floor;
    }
  }

  /**
   * What models want at least whatever is known of them: the plan's floor has it of those that it
   * places. The same workers may hold all the others, so the largest counts.
   */
  #leastOutsidePlan(kind: string, nowUs: number): number {
    const { limits = new Map<string, ModelLimits>(), policy } = this.#options;
    let least = 0;
    for (const [model, { workersMin = 0 }] of limits) {
      const isFloor =
        policy !== "reactive" && this.#placing.placementsOf(this.#plan, model, nowUs).length > 0;
      if (isFloor) continue;
      least = Math.max(
        least,
        Math.ceil(workersMin * this.#placing.shareOf(this.#plan, kind, model, nowUs)),
      );
    }
    return least;
  }

  /** What arrives and waits, in workers of the kind, of the models that the plan puts there. */
  #workOf(kind: string, nowUs: number): Work {
    const drainSeconds = this.#options.follow.drainUs / SECOND_US;
    let load = 0;
    let queued = 0;
    let rows = 0;
    let unmeasured = false;
    for (const [model, whole] of this.#state.demand()) {
      const demand = this.#deferral.urgent(model, whole, nowUs);
      const rate = this.#state.measured.rate(kind, model);
      const share = this.#placing.shareOf(this.#plan, kind, model, nowUs);
      if (share === 0) continue;
      rows += share * demand.rowsPerSecond;
      if (rate === undefined) {
        // Nothing can be planned for what was not measured, so that does not wait.
        unmeasured ||= whole.rowsPerSecond > 0 || whole.queuedRows > 0;
      } else {
        const most = share * this.#placing.mostLoad(kind, model);
        const asked = Math.min(most, (share * demand.rowsPerSecond) / rate);
        load += asked;
        queued += Math.min((most - asked) * drainSeconds, (share * demand.queuedRows) / rate);
      }
    }
    return { load, queued, rows, unmeasured };
  }
}
