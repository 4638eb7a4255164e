/**
 * Sends the tickets of open requests: the first, retries, the hedge of a straggler, and once more
 * what went to a scheduler that was lost. Owns the budget of retries and hedges.
 */

import { Bucket } from "./bucket.ts";
import type { Devices } from "./devices.ts";
import type { IngressCounters, IngressEffect } from "./events.ts";
import { freshLoad } from "./models.ts";
import type { IngressOptions } from "./options.ts";
import type { Schedulers } from "./schedulers.ts";
import type { Open, Table } from "./table.ts";

/** Why a ticket is sent; only a `resend` is no try of the request's own. */
export type Cause = "first" | "retry" | "hedge" | "resend";

type Counters = { -readonly [Name in keyof IngressCounters]: number };

const BATCH = 2;

export class Tickets {
  readonly #options: IngressOptions;
  readonly #table: Table;
  readonly #schedulers: Schedulers;
  readonly #devices: Devices;
  readonly #counters: Counters;
  readonly #budget: Bucket;

  constructor(
    options: IngressOptions,
    table: Table,
    schedulers: Schedulers,
    devices: Devices,
    counters: Counters,
    nowUs: number,
  ) {
    this.#options = options;
    this.#table = table;
    this.#schedulers = schedulers;
    this.#devices = devices;
    this.#counters = counters;
    this.#budget = new Bucket(options.retryPerSecond, options.retryBurst, nowUs);
  }

  /** Sends a ticket to the model's owner; without one the request waits for a scheduler. */
  send(open: Open, cause: Cause, nowUs: number, effects: IngressEffect[]): void {
    open.retryAtUs = Infinity;
    const owner = this.#schedulers.reachableOwner(open.model.name);
    if (owner === undefined || open.attempt >= this.#options.ticketsMax) return;
    open.attempt++;
    if (cause !== "resend") open.tries++;
    const hedge = cause === "hedge";
    const lane = { attempt: open.attempt, scheduler: owner, sentUs: nowUs, hedge };
    open.lanes = hedge ? [...open.lanes, lane] : [lane];
    if (cause === "resend") this.#counters.resends++;
    if (!open.hedged) open.hedgeAtUs = nowUs + this.#hedgeAfterUs(open);
    effects.push({
      type: "send",
      scheduler: owner,
      seq: open.seq,
      attempt: open.attempt,
      hedge,
      alone: open.lost.length > 0,
      remainingUs: open.request.deadlineUs - nowUs,
      request: open.request,
    });
  }

  /** Tickets for requests that have none on its way and are not about to try again. */
  sendWaiting(nowUs: number, effects: IngressEffect[]): void {
    for (const open of this.#table.values()) {
      if (open.lanes.length > 0 || open.retryAtUs !== Infinity) continue;
      this.send(open, open.attempt === 0 ? "first" : "resend", nowUs, effects);
      this.#table.arm(open);
    }
  }

  /** Long after the model usually answers; never for batch work, and not before it is known. */
  #hedgeAfterUs(open: Open): number {
    const { hedgeSamplesMin, hedgeFactor, hedgeAfterUsMin } = this.#options;
    const { answerUs } = open.model;
    if (open.request.tier === BATCH) return Infinity;
    if (answerUs === undefined || answerUs.size < hedgeSamplesMin) return Infinity;
    return Math.max(hedgeFactor * answerUs.max, hedgeAfterUsMin);
  }

  /**
   * One more ticket for a straggler, for another device (Dean, Barroso: The Tail at Scale, 2013).
   * Not where no other device holds the model, and not while the queue explains the wait.
   */
  hedge(open: Open, nowUs: number, effects: IngressEffect[]): void {
    open.hedgeAtUs = Infinity;
    open.hedged = true;
    // What may have cost a worker is given to one at a time.
    if (open.lost.length > 0) return;
    if (open.lanes.length !== 1 || open.tries >= this.#options.attemptsMax) return;
    if (this.#devices.count(open.model.ref, nowUs) < 2) return;
    const owner = this.#schedulers.owner(open.model.name);
    const load = freshLoad(open.model, owner, nowUs, this.#options.suspectAfterUs);
    if (load !== undefined && load.waitUs + load.computeUs > nowUs - open.arrivedUs) return;
    if (!this.spend(nowUs)) return;
    this.#counters.hedges++;
    this.send(open, "hedge", nowUs, effects);
  }

  /** What requests bring in: a part of a retry each. */
  earn(): void {
    this.#budget.earn(this.#options.retryShare);
  }

  /** Whether one more retry or hedge is within the budget. */
  spend(nowUs: number): boolean {
    const allowed = this.#budget.take(nowUs);
    if (!allowed) this.#counters.overBudget++;
    return allowed;
  }
}
