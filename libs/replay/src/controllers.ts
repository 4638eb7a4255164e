/**
 * The policies as controllers: each is told what a live one would be told, and says how many
 * workers it wants. Those of other systems are written from their sources or documents, with their
 * defaults.
 */

import {
  FollowingCore,
  type FollowOptions,
  type StepRule,
  workersByRule,
} from "@millrace/planning";

export interface Observation {
  readonly nowUs: number;
  /** Urgent requests per second over the last tick. */
  readonly rate: number;
  readonly queued: number;
  readonly ready: number;
  /** Deferred requests that are not done. */
  readonly waiting: number;
}

export interface Controller {
  readonly wanted: (observation: Observation) => number;
  /** What the forecast asks for, where there is one. */
  readonly floor: number;
}

export const staticFleet = (workers: number): Controller => ({
  wanted: () => workers,
  floor: workers,
});

const SECOND_US = 1_000_000;

/**
 * Knative's pod autoscaler with its defaults: load over 60 s against 70 % of capacity; when 6 s
 * show twice what is ready can do, the panic window rules and nothing is taken away; otherwise it
 * may halve at once.
 */
export function knativeLike(perSecond: number, minimum: number, tickSeconds: number): Controller {
  const target = 0.7 * perSecond;
  const stableTicks = Math.ceil(60 / tickSeconds);
  const panicTicks = Math.ceil(6 / tickSeconds);
  const rates: number[] = [];
  let panicUntilUs = Number.NEGATIVE_INFINITY;
  let panicWorkers = 0;
  const mean = (ticks: number): number => {
    const last = rates.slice(-ticks);
    return last.reduce((sum, rate) => sum + rate, 0) / Math.max(1, last.length);
  };
  return {
    floor: 0,
    wanted: ({ nowUs, rate, queued, ready }) => {
      // Knative counts concurrency, in which what waits shows.
      rates.push(rate + queued / 60);
      if (rates.length > stableTicks) rates.shift();
      const stable = Math.ceil(mean(stableTicks) / target);
      const panic = Math.ceil(mean(panicTicks) / target);
      if (panic >= 2 * Math.max(1, ready)) panicUntilUs = nowUs + 60 * SECOND_US;
      panicWorkers = nowUs < panicUntilUs ? Math.max(panicWorkers, panic) : 0;
      const least = Math.max(minimum, Math.floor(ready / 2));
      return Math.max(least, stable, panicWorkers);
    },
  };
}

/**
 * NVIDIA Dynamo's planner in throughput mode: every 180 s a Kalman filter with a local linear trend
 * (level 1, trend 0.1, noise 10) says the next interval's load, which sets a lower bound; every 5 s
 * the load itself adds a worker above full use and takes one away where the rest would be below 80
 * %.
 */
export function dynamoLike(perSecond: number, minimum: number): Controller {
  const intervalUs = 180 * SECOND_US;
  const filter = localLinearTrend(perSecond);
  let nextUs = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let count = 0;
  let bound = minimum;
  let workers = minimum;
  return {
    floor: 0,
    wanted: ({ nowUs, rate, queued, ready }) => {
      sum += rate;
      count++;
      if (nowUs >= nextUs) {
        nextUs = nowUs + intervalUs;
        bound = Math.max(minimum, Math.ceil(filter(sum / count) / perSecond));
        [sum, count] = [0, 0];
      }
      const load = (rate + queued / 60) / perSecond;
      // One at a time, and only when the last one asked for is there.
      if (load > ready && workers <= ready) workers++;
      else if (workers > bound && load < 0.8 * (workers - 1)) workers--;
      workers = Math.max(workers, bound);
      return workers;
    },
  };
}

/** One step ahead; the load is taken in workers, so that the noise settings have a scale. */
function localLinearTrend(unit: number): (observed: number) => number {
  let level: number | undefined;
  let trend = 0;
  let [p11, p12, p22] = [10, 0, 1];
  return (observed) => {
    const value = observed / unit;
    if (level === undefined) {
      level = value;
      return observed;
    }
    // Predict, then correct.
    level += trend;
    p11 += 2 * p12 + p22 + 1;
    p12 += p22;
    p22 += 0.1;
    const gain = p11 / (p11 + 10);
    const gainTrend = p12 / (p11 + 10);
    const error = value - level;
    level += gain * error;
    trend += gainTrend * error;
    p22 -= gainTrend * p12;
    p12 -= gain * p12;
    p11 -= gain * p11;
    return Math.max(0, level + trend) * unit;
  };
}

/** The step rule on the forecast's mean, or on the load while there is no forecast. */
export function byStepRule(
  rule: StepRule,
  meanAt: (nowUs: number) => number | undefined,
): Controller {
  return {
    floor: 0,
    wanted: ({ nowUs, rate }) => workersByRule(rule, meanAt(nowUs) ?? rate),
  };
}

/** Ours: the plan's floor under the reactive loop. */
export class PlannedController implements Controller {
  readonly #core: FollowingCore;
  readonly #perSecond: number;
  readonly #floorAt: (observation: Observation) => number;
  floor = 0;

  /** @param floorAt workers that the plan wants until a worker ordered now is ready. */
  constructor(
    options: FollowOptions,
    perSecond: number,
    floorAt: (observation: Observation) => number,
  ) {
    this.#core = new FollowingCore(options);
    this.#perSecond = perSecond;
    this.#floorAt = floorAt;
  }

  wanted(observation: Observation): number {
    const { nowUs, rate, queued, ready } = observation;
    this.floor = this.#floorAt(observation);
    return this.#core.step(
      {
        type: "observed",
        arrivalsPerSecond: rate,
        queued,
        readyWorkers: ready,
        perWorkerPerSecond: this.#perSecond,
        floorWorkers: this.floor,
      },
      nowUs,
    ).workers;
  }
}
