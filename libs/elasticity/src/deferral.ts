/**
 * Work of priority batch that may wait for a trough: how much of it there is and comes, and when it
 * is due. Once the plan has room for a model's, it is left out of what the load asks for.
 */

import type { Deferrable, DueRequests } from "@millrace/planning";
import type { ElasticEvent } from "./events.ts";
import type { Load } from "./fleet-state.ts";

type Jobs = Extract<ElasticEvent, { readonly type: "jobsHeard" }>["jobs"];

interface Coming {
  readonly startUs: number;
  readonly stepUs: number;
  /** Rows a second. */
  readonly rates: readonly number[];
  readonly rowsPerRequest: number;
}

const SECOND_US = 1_000_000;

export class Deferral {
  /** Microseconds that a model's batch work may wait; 0 where it may not. */
  readonly waitUs: (model: string) => number;
  readonly #coming = new Map<string, Coming>();
  #jobs: Jobs = [];
  /** Of all open jobs, by model. */
  #items: ReadonlyMap<string, number> = new Map();
  #planned: ReadonlySet<string> = new Set();
  readonly #graceUs: number;
  /** Since when more of a model waits as batch than its jobs explain. */
  readonly #moreSinceUs = new Map<string, number>();

  /** @param graceUs after which work that waits and is of no known job is urgent. */
  constructor(waitUs: (model: string) => number, graceUs: number) {
    this.waitUs = waitUs;
    this.#graceUs = graceUs;
  }

  foresee(model: string, coming: Coming | undefined): void {
    if (coming === undefined) this.#coming.delete(model);
    else this.#coming.set(model, coming);
  }

  /** @returns whether of any model more waits than before, which no plan has room for yet. */
  heard(jobs: Jobs): boolean {
    const before = this.#items;
    this.#jobs = jobs;
    this.#items = itemsOf(jobs);
    return [...this.#items].some(
      ([model, items]) => this.waitUs(model) > 0 && items > (before.get(model) ?? 0),
    );
  }

  /** In rows, for a plan of so many steps; undefined where nothing of the model may wait. */
  of(model: string, startUs: number, stepUs: number, steps: number): Deferrable | undefined {
    const waitUs = this.waitUs(model);
    if (waitUs === 0) return undefined;
    const coming = this.#coming.get(model);
    const due = this.#jobs
      .filter((job) => job.model === model)
      .map(({ acceptedAtUs, items }): DueRequests => {
        const leftUs = acceptedAtUs + waitUs - startUs;
        const withinSteps = Math.max(1, Math.floor(leftUs / stepUs));
        return { withinSteps, requests: items * (coming?.rowsPerRequest ?? 1) };
      });
    const from = Math.max(0, Math.floor((startUs - (coming?.startUs ?? startUs)) / stepUs));
    const ahead = coming?.rates.slice(from, from + steps) ?? [];
    return {
      backlog: due.reduce((sum, { requests }) => sum + requests, 0),
      due,
      arrivals: ahead.map((rate) => (rate * stepUs) / SECOND_US),
      waitSteps: Math.floor(waitUs / stepUs),
    };
  }

  /** The plan has room for what of these models may wait. */
  planned(models: Iterable<string>): void {
    this.#planned = new Set(models);
  }

  /**
   * What must be served at once. What waits as batch and is of no job does not wait for long: a
   * request that was sent as batch by itself has a deadline, and no trough to wait for.
   */
  urgent(model: string, load: Load, nowUs: number): Load {
    if (!this.#planned.has(model)) return load;
    const { batchQueuedRows, batchRowsPerSecond, queuedRows, rowsPerSecond } = load;
    const ofJobs = (this.#items.get(model) ?? 0) * (this.#coming.get(model)?.rowsPerRequest ?? 1);
    const left = this.#isUnexplained(model, batchQueuedRows > ofJobs, nowUs)
      ? ofJobs
      : batchQueuedRows;
    return {
      ...load,
      queuedRows: Math.max(0, queuedRows - left),
      rowsPerSecond: Math.max(0, rowsPerSecond - batchRowsPerSecond),
    };
  }

  /** A new job's items may wait before its record was read. */
  #isUnexplained(model: string, isMore: boolean, nowUs: number): boolean {
    if (!isMore) this.#moreSinceUs.delete(model);
    else if (nowUs < (this.#moreSinceUs.get(model) ?? Infinity))
      this.#moreSinceUs.set(model, nowUs);
    return nowUs - (this.#moreSinceUs.get(model) ?? nowUs) > this.#graceUs;
  }
}

function itemsOf(jobs: Jobs): Map<string, number> {
  const items = new Map<string, number>();
  for (const job of jobs) items.set(job.model, (items.get(job.model) ?? 0) + job.items);
  return items;
}
