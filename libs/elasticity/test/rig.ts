/** An elastic core that is told what its workers and schedulers say, on a clock of its own. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import type { Forecast } from "@millrace/forecasting";
import { FOLLOW_OPTIONS, PLAN_RULES } from "@millrace/planning";
import { ElasticCore, type ElasticEffect, type ElasticOptions } from "../src/index.ts";

export const SECOND_US = 1_000_000;
export const STEP_US = 300 * SECOND_US;
export const START_US = 1_000 * STEP_US;

export const OPTIONS: ElasticOptions = {
  prices: DEFAULT_PRICE_BOOK,
  kinds: ["gpu-l4"],
  rules: PLAN_RULES,
  follow: { ...FOLLOW_OPTIONS, workersMin: 1 },
  quantile: "0.9",
  objectiveUs: 100_000,
  refitUs: 3_600 * SECOND_US,
  planUs: 300 * SECOND_US,
  settleUs: 0,
  silentUsMax: 10 * SECOND_US,
  refusedForUs: 120 * SECOND_US,
};

/** Rows a second of one worker here: 10 rows in 10 ms. */
export const RATE = 1_000;

export class Rig {
  readonly core: ElasticCore;
  nowUs = START_US;
  ready = 0;

  constructor(options: Partial<ElasticOptions> = {}) {
    this.core = new ElasticCore({ ...OPTIONS, ...options });
  }

  worker(
    id: string,
    lifecycle: "on-demand" | "spot" = "on-demand",
    zone = "us-east-2a",
    ref = "digits@1",
    times = [{ rows: 10, us: 10_000 }],
  ): void {
    this.core.step(
      {
        type: "workerHeard",
        id,
        pool: { kind: "gpu-l4", zone, lifecycle },
        ready: true,
        residents: [{ ref, bytes: 1_000_000, times }],
      },
      this.nowUs,
    );
  }

  load(rowsPerSecond: number, queuedRows = 0): void {
    const loads = [{ ref: "digits@1", rowsPerSecond, queuedRows }];
    this.core.step({ type: "loadsHeard", scheduler: "scheduler-1", loads }, this.nowUs);
  }

  /** A forecast in workers' worth of load, one number a step. */
  forecast(
    workers: readonly number[],
    overrides: Partial<Forecast> = {},
    model = "digits",
    mostPerSecond = 5 * RATE,
  ): ElasticEffect[] {
    const counts = workers.map((each) => each * RATE * 300);
    return this.core.step(
      {
        type: "forecastMade",
        model,
        rowsPerRequest: 1,
        lastPerSecond: RATE,
        mostPerSecond,
        forecast: {
          startUs: START_US,
          stepUs: STEP_US,
          mean: counts,
          quantiles: { "0.9": counts },
          method: "ensemble",
          weights: {},
          ...overrides,
        },
      },
      this.nowUs,
    );
  }

  wake(afterUs = 5 * SECOND_US): ElasticEffect[] {
    this.nowUs += afterUs;
    return this.core.step({ type: "woke" }, this.nowUs);
  }
}

export const wantsOf = (effects: readonly ElasticEffect[]): Record<string, number> =>
  Object.fromEntries(
    effects.flatMap((effect) =>
      effect.type === "want"
        ? [[`${effect.pool.zone}/${effect.pool.lifecycle}`, effect.count] as const]
        : [],
    ),
  );

export const decisionOf = (effects: readonly ElasticEffect[]) =>
  effects.flatMap((effect) => (effect.type === "decided" ? [effect.decision] : []))[0];
