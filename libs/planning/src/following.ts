/**
 * The reactive loop for one model on one kind of worker. The forecast's plan sets a floor; this
 * adds to it, every few seconds, for the load that is there, for what waits, and for what would
 * wait by the time that a worker ordered now is ready. It gives back slowly: a worker goes when for
 * the whole hold time neither the load nor the floor needed it. The panic window is Knative's.
 */

import { assert } from "@millrace/std";

export interface FollowOptions {
  readonly workersMin: number;
  readonly workersMax: number;
  /** How often the loop wants to be told what is going on. */
  readonly intervalUs: number;
  /** Share of capacity above which the load itself asks for more. */
  readonly guardUtilisation: number;
  /** The load is its mean over this time. */
  readonly stableUs: number;
  /** In panic it is the mean over this one. */
  readonly panicUs: number;
  /** Panic begins when the load is this many times what the ready workers can do. */
  readonly panicFactor: number;
  /** What waits is to be gone within this time. */
  readonly drainUs: number;
  /** A worker goes after this time without need of it. */
  readonly holdUs: number;
  /** Says what it would do, for somebody else to do it. */
  readonly advisory: boolean;
}

/** One setting for every load. */
export const FOLLOW_OPTIONS: FollowOptions = {
  workersMin: 2,
  workersMax: 1_000,
  intervalUs: 5_000_000,
  guardUtilisation: 0.9,
  stableUs: 60_000_000,
  panicUs: 10_000_000,
  panicFactor: 1.1,
  drainUs: 60_000_000,
  holdUs: 600_000_000,
  advisory: false,
};

export interface Observed {
  readonly type: "observed";
  /** Requests per second since the last observation. */
  readonly arrivalsPerSecond: number;
  /** Requests that wait. */
  readonly queued: number;
  readonly readyWorkers: number;
  readonly perWorkerPerSecond: number;
  /** The most that the plan wants from now until a worker ordered now is ready. */
  readonly floorWorkers: number;
}

export interface Decision {
  readonly workers: number;
  /** Which need set the number. */
  readonly because:
    | "floor"
    | "load"
    | "queue"
    | "panic"
    | "hold"
    | "minimum"
    | "maximum"
    | "rule"
    /** More was needed; this is what the fleet's budget pays for. */
    | "budget";
  readonly floorWorkers: number;
  /** False in advisory mode. */
  readonly binding: boolean;
}

/** A need that held from its time on; needs behind it in the list are lower and later. */
interface Need {
  atUs: number;
  readonly workers: number;
}

export class FollowingCore {
  readonly #options: FollowOptions;
  /** Rates of the last stable window, oldest first, as a ring. */
  readonly #rates: Float64Array;
  #seen = 0;
  #sum = 0;
  #panicUntilUs = 0;
  #panicWorkers = 0;
  /** Falling needs of the hold time: the first is the highest. */
  #needs: Need[] = [];
  #nextUs = 0;

  constructor(options: FollowOptions) {
    assert(options.workersMin <= options.workersMax, "the least workers exceed the most");
    assert(options.panicUs <= options.stableUs, "panic looks at a part of the stable window");
    this.#options = options;
    this.#rates = new Float64Array(Math.ceil(options.stableUs / options.intervalUs));
  }

  get wakeAtUs(): number {
    return this.#nextUs;
  }

  step(event: Observed, nowUs: number): Decision {
    const { workersMin, workersMax, intervalUs, advisory } = this.#options;
    this.#nextUs = nowUs + intervalUs;
    this.#remember(event.arrivalsPerSecond);
    const { workers: need, because } = this.#need(event, nowUs);
    const held = this.#hold(need, nowUs);
    const { floorWorkers } = event;
    const binding = !advisory;
    if (held > workersMax)
      return { workers: workersMax, because: "maximum", floorWorkers, binding };
    if (held < workersMin)
      return { workers: workersMin, because: "minimum", floorWorkers, binding };
    return { workers: held, because: held > need ? "hold" : because, floorWorkers, binding };
  }

  #remember(rate: number): void {
    const at = this.#seen % this.#rates.length;
    this.#sum += rate - (this.#rates[at] ?? 0);
    this.#rates[at] = rate;
    this.#seen++;
    // Sums drift by rounding; once a round the sum is taken afresh.
    if (at === 0) this.#sum = this.#rates.reduce((sum, each) => sum + each, 0);
  }

  #mean(windowUs: number): number {
    const size = this.#rates.length;
    const count = Math.min(this.#seen, Math.max(1, Math.ceil(windowUs / this.#options.intervalUs)));
    if (count === size) return this.#sum / size;
    let sum = 0;
    for (let back = 1; back <= count; back++) sum += this.#rates[(this.#seen - back) % size] ?? 0;
    return sum / count;
  }

  #need(event: Observed, nowUs: number): Pick<Decision, "workers" | "because"> {
    const { stableUs, panicUs, panicFactor, guardUtilisation, drainUs } = this.#options;
    const { perWorkerPerSecond, readyWorkers, queued, floorWorkers } = event;
    const stable = this.#mean(stableUs);
    const recent = this.#mean(panicUs);
    const guarded = perWorkerPerSecond * guardUtilisation;
    const byLoad = Math.ceil(stable / guarded);
    // What waits must be worked off beside what keeps coming.
    const byQueue = queued > 0 ? Math.ceil((recent + queued / (drainUs / 1e6)) / guarded) : 0;
    if (recent > panicFactor * readyWorkers * perWorkerPerSecond) {
      this.#panicUntilUs = nowUs + stableUs;
    }
    this.#panicUntilUs = Math.min(this.#panicUntilUs, nowUs + stableUs);
    const panicking = nowUs < this.#panicUntilUs;
    this.#panicWorkers = panicking ? Math.max(this.#panicWorkers, Math.ceil(recent / guarded)) : 0;
    const workers = Math.max(floorWorkers, byLoad, byQueue, this.#panicWorkers);
    if (workers === floorWorkers) return { workers, because: "floor" };
    if (workers === byLoad) return { workers, because: "load" };
    return { workers, because: workers === byQueue ? "queue" : "panic" };
  }

  /** The highest need of the hold time. */
  #hold(need: number, nowUs: number): number {
    const needs = this.#needs;
    // By a clock that was set back nothing was needed later than now.
    if ((needs.at(-1)?.atUs ?? nowUs) > nowUs) {
      for (const each of needs) each.atUs = Math.min(each.atUs, nowUs);
    }
    while (needs.length > 0 && (needs.at(-1)?.workers ?? 0) <= need) needs.pop();
    needs.push({ atUs: nowUs, workers: need });
    while ((needs[0]?.atUs ?? nowUs) < nowUs - this.#options.holdUs) needs.shift();
    return needs[0]?.workers ?? need;
  }
}
