/** What one model version has answered: totals for `/stats`, the last for `millrace status`. */

import type { Answer } from "@millrace/protocol";
import type { Figure, ModelFigures } from "@millrace/openinference";
import type { ServedModel } from "./catalogue.ts";

/** Quantiles are those of the last answers. */
const RECENT_MAX = 512;
/** Whole seconds over which the rate is averaged, and the one that is not over yet. */
const RATE_SECONDS = 5;
const SLOTS = RATE_SECONDS + 1;
const SECOND_US = 1_000_000;

interface Total {
  count: number;
  us: number;
}

const nothing = (): Total => ({ count: 0, us: 0 });

const add = (total: Total, us: number, count = 1): void => {
  total.count += count;
  total.us += us;
};

export interface RecentFigures {
  readonly requestsPerSecond: number;
  /** Absent before the first answer. */
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly errors: number;
}

export class ModelStatistics {
  readonly #success = nothing();
  readonly #failure = nothing();
  readonly #queue = nothing();
  readonly #compute = nothing();
  readonly #batches = new Map<number, Total>();
  readonly #recentUs = new Float64Array(RECENT_MAX);
  readonly #perSecond = new Float64Array(SLOTS);
  #second = 0;
  #rows = 0;
  #executions = 0;
  #lastInferenceMs = 0;

  /** A request was answered with a result of `rows` rows. */
  served(answer: Answer, rows: number, totalUs: number, nowUs: number): void {
    const { queueUs, computeUs } = answer;
    const batchRows = Math.max(rows, answer.batchRows);
    this.#recentUs[this.#success.count % RECENT_MAX] = totalUs;
    add(this.#success, totalUs);
    add(this.#queue, queueUs);
    add(this.#compute, computeUs);
    this.#rows += rows;
    // This request's share of its batch: the shares of one batch add up to 1.
    const share = rows / batchRows;
    this.#executions += share;
    let batch = this.#batches.get(batchRows);
    if (batch === undefined) {
      batch = nothing();
      this.#batches.set(batchRows, batch);
    }
    add(batch, computeUs * share, share);
    this.#lastInferenceMs = Date.now();
    this.#tick(nowUs);
  }

  failed(totalUs: number, nowUs: number): void {
    add(this.#failure, totalUs);
    this.#tick(nowUs);
  }

  recent(nowUs: number): RecentFigures {
    this.#advance(nowUs);
    const finished = this.#perSecond.reduce((sum, count) => sum + count, 0);
    const current = this.#perSecond[this.#second % SLOTS] ?? 0;
    const errors = this.#failure.count;
    const requestsPerSecond = (finished - current) / RATE_SECONDS;
    const count = Math.min(RECENT_MAX, this.#success.count);
    if (count === 0) return { requestsPerSecond, errors };
    const sorted = this.#recentUs.slice(0, count).sort();
    const quantile = (share: number): number => sorted[Math.floor(share * (count - 1))] ?? 0;
    return { requestsPerSecond, p50Us: quantile(0.5), p99Us: quantile(0.99), errors };
  }

  figures({ spec }: ServedModel): ModelFigures {
    return {
      name: spec.name,
      version: spec.version,
      lastInferenceMs: this.#lastInferenceMs,
      rows: this.#rows,
      executions: this.#executions,
      success: this.#success,
      failure: this.#failure,
      queue: this.#queue,
      compute: this.#compute,
      batches: this.#batches satisfies ReadonlyMap<number, Figure>,
    };
  }

  #tick(nowUs: number): void {
    this.#advance(nowUs);
    (this.#perSecond[this.#second % SLOTS] as number)++;
  }

  /** Empties the slots of the seconds that have begun since the last look. */
  #advance(nowUs: number): void {
    const second = Math.floor(nowUs / SECOND_US);
    const passed = Math.min(SLOTS, second - this.#second);
    for (let at = 0; at < passed; at++) this.#perSecond[(second - at) % SLOTS] = 0;
    this.#second = second;
  }
}
