/**
 * One policy over the whole window, against a simulated cloud and the queue, a tick at a time; its
 * worst minutes then request by request through the scheduler.
 *
 * Shared with a live fleet: the forecasters, `planFleet`, `FollowingCore`, `spreadWorkers`, and in
 * those minutes `SchedulerCore`. Not shared: orders and releases, which are those of `FleetCore`
 * here and of `ElasticCore` with a `FleetKeeper` there.
 */

import {
  FILL_SHARE,
  FleetCore,
  type FleetEffect,
  type Place,
  type SpotRules,
  STEP_RULE,
  type StepRule,
} from "@millrace/planning";
import { seededRandom } from "@millrace/std";
import { Cloud } from "./cloud.ts";
import {
  byStepRule,
  type Controller,
  dynamoLike,
  knativeLike,
  type Observation,
  PlannedController,
  staticFleet,
} from "./controllers.ts";
import { FluidQueue } from "./fluid-queue.ts";
import { TICK_SECONDS, TICK_US } from "./load.ts";
import { PlannedFloor } from "./planned-floor.ts";
import type { Policy } from "./policies.ts";
import { WorstStretch } from "./stretch.ts";
import { type Slice, Timeline } from "./timeline.ts";
import { type Trial, tryStretch } from "./trial.ts";
import type { World } from "./world.ts";

export interface PolicyRun {
  readonly policy: Policy;
  readonly micros: number;
  readonly requests: number;
  readonly failed: number;
  readonly slow: number;
  /** Requests that may be slow: those that do not wait by agreement. */
  readonly urgent: number;
  /** Work done over capacity paid. */
  readonly utilisation: number;
  readonly interruptions: number;
  readonly workerSeconds: readonly (Place & { readonly seconds: number })[];
  readonly timeline: readonly Slice[];
  /** Its worst minutes through the real scheduler; undefined where no minute could be played. */
  readonly trial: Trial | undefined;
  /** What the controller had to overrule or could not plan, in words. */
  readonly remarks: readonly string[];
}

const SECOND_US = 1_000_000;
const REFUSED_FOR_US = 300 * SECOND_US;
const ANSWER_WITHIN_US = 60 * SECOND_US;
const SLICE_US = 300 * SECOND_US;

export function runPolicy(world: World, policy: Policy): PolicyRun {
  return new Run(world, policy).finish();
}

class Run {
  readonly #world: World;
  readonly #policy: Policy;
  readonly #perSecond: number;
  readonly #cloud: Cloud;
  readonly #fleet: FleetCore;
  readonly #queue = new FluidQueue(FILL_SHARE);
  readonly #timeline = new Timeline(SLICE_US / TICK_US);
  readonly #stretches = new WorstStretch();
  readonly #floor: PlannedFloor;
  readonly #controller: Controller;
  #paidCapacity = 0;
  #wanted = -1;

  constructor(world: World, policy: Policy) {
    const { settings, prices, kind, market } = world;
    this.#world = world;
    this.#policy = policy;
    this.#perSecond = settings.perWorkerPerSecond * (kind.throughput.get(policy.variant) ?? 1);
    const spot: SpotRules | undefined = policy.spot ? settings.spot : undefined;
    this.#cloud = new Cloud({
      kind,
      offers: prices.offers,
      startUpUs: settings.startUpSeconds * SECOND_US,
      market: policy.spot ? market : undefined,
      zonePool: zonePoolOf(settings.peakWorkers, settings.spot),
      random: seededRandom(settings.seed),
    });
    this.#fleet = new FleetCore({
      kind: kind.kind,
      offers: prices.offers,
      spot,
      refusedForUs: REFUSED_FOR_US,
      answerWithinUs: ANSWER_WITHIN_US,
    });
    const source = policy.forecast === "perfect" ? world.perfect : world.rolling;
    this.#floor = new PlannedFloor(world, policy, source, this.#perSecond);
    this.#controller = this.#makeController();
  }

  finish(): PolicyRun {
    const { arrivals, settings } = this.#world;
    for (let tick = 0; tick < arrivals.length; tick++) this.#tick(tick);
    const left = this.#runOut();
    const { total } = this.#queue;
    const remarks = this.#floor.overruled.slice();
    const plans = this.#floor.infeasiblePlans;
    if (plans > 0) remarks.push(`${plans} plans could not serve all the work within their limits`);
    const worst = this.#stretches.finish();
    return {
      policy: this.#policy,
      micros: this.#cloud.micros + left.micros,
      requests: total.urgent + total.deferred,
      failed: total.failed,
      slow: total.slow,
      urgent: total.urgent,
      utilisation: this.#paidCapacity === 0 ? 0 : total.done / this.#paidCapacity,
      interruptions: this.#cloud.interruptions,
      workerSeconds: this.#cloud.workerSeconds(),
      timeline: this.#timeline.slices,
      trial: worst && tryStretch(worst, this.#perSecond, settings.seed),
      remarks,
    };
  }

  #makeController(): Controller {
    const { settings, rolling } = this.#world;
    const perSecond = this.#perSecond;
    const { workersMin } = settings.follow;
    switch (this.#policy.scaling) {
      case "static":
        return staticFleet(Math.ceil(settings.peakWorkers * this.#policy.headroom));
      case "knative":
        return knativeLike(perSecond, workersMin, TICK_SECONDS);
      case "dynamo":
        return dynamoLike(perSecond, workersMin);
      case "step-rule":
        return byStepRule(stepRuleFor(settings.peakWorkers, perSecond), (nowUs) => {
          const { startUs, stepUs, mean, method } = rolling.at(nowUs);
          return method === "none" ? undefined : mean[Math.floor((nowUs - startUs) / stepUs)];
        });
      case "planned":
        return new PlannedController(settings.follow, perSecond, (observation) =>
          this.#floor.at(observation),
        );
    }
  }

  #tick(tick: number): void {
    const nowUs = tick * TICK_US;
    const changed = this.#cloud.advance(nowUs);
    const urgentShare = this.#policy.defers ? 1 - this.#world.settings.deferrableShare : 1;
    const { arrivals: all, firstRate } = this.#world;
    const before = tick === 0 ? firstRate * TICK_SECONDS : (all[tick - 1] ?? 0);
    this.#control(nowUs, changed, {
      nowUs: this.#world.window.fromUs + nowUs,
      rate: (before * urgentShare) / TICK_SECONDS,
      queued: this.#queue.queued,
      ready: this.#cloud.ready,
      waiting: this.#queue.waiting,
    });
    const cloud = this.#cloud;
    const arrivals = all[tick] ?? 0;
    const urgent = arrivals * urgentShare;
    const perWorker = this.#perSecond * TICK_SECONDS;
    const capacity = cloud.ready * perWorker;
    const { queued, total } = this.#queue;
    const bad = total.slow + total.failed;
    const done = this.#queue.step(urgent, arrivals - urgent, capacity, TICK_SECONDS);
    this.#stretches.add(tick, {
      urgent,
      fills: this.#queue.waiting > 0,
      ready: cloud.ready,
      queued,
      bad: total.slow + total.failed - bad,
      capacity,
    });
    if (this.#policy.defers) this.#expire(tick);
    cloud.bill(TICK_SECONDS);
    this.#paidCapacity += cloud.paid * perWorker;
    const { paid, paidSpot: spot } = cloud;
    const { floor } = this.#controller;
    this.#timeline.add({ arrivals, done, paid, spot, floor, perWorker }, () => cloud.micros);
  }

  #control(nowUs: number, changed: boolean, observation: Observation): void {
    const workers = this.#controller.wanted(observation);
    if (changed) {
      this.#perform(
        this.#fleet.step({ type: "counted", groups: this.#cloud.counted(nowUs) }, nowUs),
        nowUs,
      );
    }
    if (workers !== this.#wanted) {
      this.#wanted = workers;
      this.#perform(this.#fleet.step({ type: "wanted", workers }, nowUs), nowUs);
    } else if (this.#fleet.wakeAtUs <= nowUs) {
      this.#perform(this.#fleet.step({ type: "woke" }, nowUs), nowUs);
    }
  }

  /**
   * The cloud answers an order at once; what it refuses may be ordered elsewhere in the same tick.
   */
  #perform(effects: readonly FleetEffect[], nowUs: number): void {
    for (const effect of effects) {
      if (effect.type === "release") {
        this.#cloud.release(effect, effect.starting, effect.ready, nowUs);
      }
      if (effect.type !== "order") continue;
      // Every policy starts with the fleet that its first decision wants, ready.
      const given = this.#cloud.order(effect, effect.count, nowUs, nowUs === 0);
      const refused = effect.count - given;
      if (given > 0) this.#fleet.step({ ...effect, type: "accepted", count: given }, nowUs);
      if (refused > 0) {
        this.#perform(
          this.#fleet.step({ ...effect, type: "refused", count: refused }, nowUs),
          nowUs,
        );
      }
    }
  }

  /** Deferred work that came longer ago than it may wait, and was not done, fails. */
  #expire(tick: number): void {
    const { arrived, settings } = this.#world;
    const ticks = Math.round((settings.deferrableHours * 3_600) / TICK_SECONDS);
    if (tick < ticks) return;
    const share = settings.deferrableShare;
    const since = ((arrived[tick] ?? 0) - (arrived[tick - ticks] ?? 0)) * share;
    const late = this.#queue.waiting - since;
    if (late > 1e-6) this.#queue.expire(late);
  }

  /** What still waits at the end is done by workers at the run's own mean price, and counted. */
  #runOut(): { readonly micros: number } {
    const { waiting, total } = this.#queue;
    const seconds = waiting / (this.#perSecond * FILL_SHARE);
    const paidSeconds = this.#paidCapacity / this.#perSecond;
    if (waiting === 0 || paidSeconds === 0) return { micros: 0 };
    const micros = Math.round((this.#cloud.micros * seconds) / paidSeconds);
    this.#paidCapacity += seconds * this.#perSecond;
    total.done += waiting;
    return { micros };
  }
}

/** A zone at its best gives the largest share of the largest spot fleet that may stand in it. */
const zonePoolOf = (peakWorkers: number, rules: SpotRules): number =>
  Math.ceil(peakWorkers * (1 + rules.overProvision) * rules.zoneShareMax);

/** The rule's bounds and workers, in proportion to the peak that it was made for: 10 workers. */
function stepRuleFor(peakWorkers: number, perSecond: number): StepRule {
  const loadFactor = (peakWorkers * perSecond) / 1_000;
  const workerFactor = peakWorkers / 10;
  return {
    steps: STEP_RULE.steps.map(({ above, workers }) => ({
      above: above * loadFactor,
      workers: Math.ceil(workers * workerFactor),
    })),
    otherwise: Math.ceil(STEP_RULE.otherwise * workerFactor),
  };
}
