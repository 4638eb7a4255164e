/** Looks now and then at the jobs that are not done, where their work may wait for a trough. */

import type { ElasticEvent } from "@millrace/elasticity";
import type { WallClock } from "@millrace/runtime";
import type { Log } from "@millrace/std";
import { readOpenJobs } from "@millrace/store";
import type { NatsConnection } from "@nats-io/transport-node";

export interface JobBacklogOptions {
  readonly connection: NatsConnection;
  readonly clock: WallClock;
  readonly log: Log;
  readonly post: (event: ElasticEvent) => void;
}

/** A record is read whole; a plan is made every five minutes, and when another job has come. */
const EVERY_MS = 5_000;

export class JobBacklog {
  readonly #options: JobBacklogOptions;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #looking = false;

  constructor(options: JobBacklogOptions) {
    this.#options = options;
  }

  /** Without an answer what was known before stands. */
  async look(): Promise<void> {
    const nowMs = performance.now();
    if (this.#looking || nowMs - this.#lookedAtMs < EVERY_MS) return;
    this.#looking = true;
    this.#lookedAtMs = nowMs;
    const { clock, connection, log, post } = this.#options;
    const open = await readOpenJobs(connection);
    this.#looking = false;
    if (!open.ok) return log.warn(open.error, "jobs");
    const jobs = open.value
      .map(({ createdAtMs, finishedItems, items, model }) => ({
        model,
        items: items - finishedItems,
        // Records are written in real time.
        acceptedAtUs: clock.nowUs() - (Date.now() - createdAtMs) * 1_000 * clock.scale,
      }))
      .filter(({ items }) => items > 0);
    post({ type: "jobsHeard", jobs });
  }
}
