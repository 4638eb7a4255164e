/** Performs the effects of the ingress core: tickets and cancellations out, answers to clients. */

import type { IngressEffect } from "@millrace/admission";
import { type Bus, Outbox } from "@millrace/bus";
import {
  encodeCancel,
  encodeTickets,
  subjects,
  type Ticket,
  ticketBytes,
  type Written,
} from "@millrace/protocol";
import { present, unreachable } from "@millrace/std";
import type { Inference } from "./inference.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";

export interface PerformerOptions {
  readonly bus: Pick<Bus, "publish">;
  readonly address: string;
  readonly inference: Inference;
  readonly metrics: Pick<IngressMetrics, "cameFromZero">;
  /** Nothing is open after a drain. */
  readonly exit: () => void;
}

const SEQ_BYTES = 4;

export class Performer {
  readonly #options: PerformerOptions;
  readonly #tickets: Outbox<Ticket<Written>>;
  readonly #cancels: Outbox<number>;

  constructor(options: PerformerOptions) {
    this.#options = options;
    const { bus, address: ingress } = options;
    // The core sends everything again when the connection is back; a cancelled ticket expires.
    const dropped = (): void => {};
    this.#tickets = new Outbox<Ticket<Written>>({
      bus,
      bytesOf: ticketBytes,
      encode: (model, tickets) => encodeTickets({ ingress, model, tickets }),
      dropped,
    });
    this.#cancels = new Outbox({
      bus,
      bytesOf: () => SEQ_BYTES,
      encode: (model, seqs) => encodeCancel({ ingress, model, seqs }),
      dropped,
    });
  }

  perform(effect: IngressEffect): void {
    const { inference, metrics, exit } = this.#options;
    switch (effect.type) {
      case "send":
        this.#send(effect);
        return;
      case "cancel":
        this.#cancels.push(subjects.ticket(effect.scheduler), effect.model, effect.seq);
        return;
      case "settle":
        if (effect.outcome.ok) inference.served(effect.seq, effect.outcome.served);
        else inference.failed(effect.seq, effect.outcome.fault, effect.outcome.attempts);
        return;
      case "cameFromZero":
        metrics.cameFromZero(effect.model, effect.us);
        return;
      case "exit":
        exit();
        return;
      default:
        unreachable(effect);
    }
  }

  flush(): void {
    this.#tickets.flush();
    this.#cancels.flush();
  }

  #send(effect: Extract<IngressEffect, { type: "send" }>): void {
    const { seq, request } = effect;
    const exchange = present(this.#options.inference.find(seq), "the exchange of a ticket");
    this.#tickets.push(subjects.ticket(effect.scheduler), request.model, {
      seq,
      attempt: effect.attempt,
      tier: request.tier,
      hedge: effect.hedge,
      alone: effect.alone,
      remote: exchange.isRemote,
      rows: request.rows,
      length: request.length,
      shapeKey: request.shapeKey,
      remainingUs: effect.remainingUs,
      bodyBytes: request.bodyBytes,
      tail: exchange.tail,
    });
  }
}
