/** Gathers the effects of one step: an ingress has its refusals, of one cause, in one message. */

import type { ErrorCode, Ticket } from "@millrace/protocol";
import type { Queued } from "@millrace/batching";
import type { Refusal, SchedulerEffect } from "./events.ts";

type Refuse = Extract<SchedulerEffect, { readonly type: "refuse" }>;

export class Effects {
  #effects: SchedulerEffect[] = [];
  readonly #refusals = new Map<string, Refuse & { readonly refusals: Refusal[] }>();

  push(effect: SchedulerEffect): void {
    this.#effects.push(effect);
  }

  /** @param lost the worker process that the ticket was lost with. */
  refuse(
    ingress: string,
    ticket: Ticket,
    code: ErrorCode,
    message: string,
    queuedUs: number,
    lost = "",
  ): void {
    const key = `${ingress} ${lost}`;
    let refuse = this.#refusals.get(key);
    if (refuse === undefined) {
      refuse = { type: "refuse", ingress, lost, refusals: [] };
      this.#refusals.set(key, refuse);
    }
    refuse.refusals.push({ seq: ticket.seq, attempt: ticket.attempt, code, message, queuedUs });
  }

  refuseQueued(entry: Queued, code: ErrorCode, message: string, nowUs: number): void {
    this.refuse(entry.ingress, entry.ticket, code, message, nowUs - entry.arrivedUs);
  }

  /** Everything gathered, refusals last; the next step starts empty. */
  flush(): readonly SchedulerEffect[] {
    const effects = this.#effects;
    effects.push(...this.#refusals.values());
    this.#refusals.clear();
    this.#effects = [];
    return effects;
  }
}
