/** Gathers the effects of one step, with refusals of one ingress in one message. */

import type { ErrorCode, Ticket } from "@millrace/protocol";
import type { Queued } from "@millrace/batching";
import type { Refusal, SchedulerEffect } from "./events.ts";

export class Effects {
  #effects: SchedulerEffect[] = [];
  readonly #refusals = new Map<string, Refusal[]>();

  push(effect: SchedulerEffect): void {
    this.#effects.push(effect);
  }

  refuse(
    ingress: string,
    ticket: Ticket,
    code: ErrorCode,
    message: string,
    queuedUs: number,
  ): void {
    let refusals = this.#refusals.get(ingress);
    if (refusals === undefined) {
      refusals = [];
      this.#refusals.set(ingress, refusals);
    }
    refusals.push({ seq: ticket.seq, attempt: ticket.attempt, code, message, queuedUs });
  }

  refuseQueued(entry: Queued, code: ErrorCode, message: string, nowUs: number): void {
    this.refuse(entry.ingress, entry.ticket, code, message, nowUs - entry.arrivedUs);
  }

  /** Everything gathered, refusals last; the next step starts empty. */
  flush(): readonly SchedulerEffect[] {
    for (const [ingress, refusals] of this.#refusals) {
      this.#effects.push({ type: "refuse", ingress, refusals });
    }
    this.#refusals.clear();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
