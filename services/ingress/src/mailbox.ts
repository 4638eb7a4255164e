/** Turns what arrives on the bus into events of the ingress core. */

import type { IngressEvent } from "@millrace/admission";
import { type Bus, Connections, type Subscribed } from "@millrace/bus";
import {
  type Answer,
  type AnswerFrame,
  decodeAnswers,
  decodeFetch,
  decodeJson,
  decodePart,
  disconnectSchema,
  DISCONNECTS,
  type Fault,
  frameKind,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  subjects,
  WORKER_HEARTBEATS,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import type { Log, Result } from "@millrace/std";
import type { AnswerParts } from "./answer-parts.ts";
import type { BodySender } from "./body-sender.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Zones } from "./zones.ts";

export interface MailboxOptions {
  readonly bus: Pick<Bus, "onConnection" | "subscribe">;
  readonly address: string;
  readonly parts: AnswerParts;
  readonly sender: BodySender;
  readonly zones: Zones;
  readonly catalogue: Catalogue;
  readonly post: (event: IngressEvent) => void;
  readonly log: Log;
}

const utf8 = new TextEncoder();
/** One complaint per subject in this many messages that are not understood: they come in floods. */
const COMPLAIN_EVERY = 1_000;

export class Mailbox {
  readonly #options: MailboxOptions;
  readonly #connections = new Connections();
  readonly #subscriptions: readonly Subscribed[];
  #notUnderstood = 0;

  constructor(options: MailboxOptions) {
    this.#options = options;
    const { bus, address, post, sender, zones, catalogue } = options;
    bus.onConnection((connected) => post({ type: "busChanged", connected }));
    this.#subscriptions = [
      bus.subscribe(subjects.answer(address), (bytes, subject) => this.#answered(bytes, subject)),
      bus.subscribe(subjects.fetch(address), (bytes, subject) => {
        this.#take(subject, decodeFetch(bytes), (frame) => sender.fetched(frame));
      }),
      bus.subscribe(SCHEDULER_HEARTBEATS, (bytes, subject) => {
        this.#take(subject, decodeJson(schedulerHeartbeatSchema, bytes), (heartbeat) => {
          this.#connections.heard(heartbeat);
          post({ type: "schedulerBeat", heartbeat });
        });
      }),
      bus.subscribe(WORKER_HEARTBEATS, (bytes, subject) => {
        this.#take(subject, decodeJson(workerHeartbeatSchema, bytes), (heartbeat) => {
          this.#connections.heard(heartbeat);
          zones.heard(heartbeat);
          catalogue.heard(heartbeat.models ?? []);
          post({ type: "workerBeat", heartbeat });
        });
      }),
      bus.subscribe(DISCONNECTS, (bytes, subject) => {
        this.#take(subject, decodeJson(disconnectSchema, bytes), (disconnect) => {
          const name = this.#connections.ended(disconnect);
          if (name === undefined) return;
          zones.lost(name);
          post({ type: "disconnected", name });
        });
      }),
    ];
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#subscriptions.map((subscription) => subscription.drain()));
  }

  #answered(bytes: Uint8Array, subject: string): void {
    const { parts } = this.#options;
    if (frameKind(bytes) === "part") {
      this.#take(subject, decodePart(bytes), (part) => parts.take(part));
    } else {
      this.#take(subject, decodeAnswers(bytes), (frame) => this.#deliver(frame));
    }
  }

  #deliver({ from, device, answers }: AnswerFrame): void {
    const { post } = this.#options;
    for (const answer of answers) {
      const whole = answer.parted ? this.#join(from, answer) : answer;
      post({ type: "answered", from, device, answer: whole });
    }
  }

  /** A result whose parts were lost is as good as none. */
  #join(from: string, answer: Answer): Answer {
    const body = this.#options.parts.claim(from, answer);
    if (body !== undefined) return { ...answer, parted: false, body };
    const message = utf8.encode("parts of the answer were lost");
    return { ...answer, parted: false, error: "BATCH_LOST", body: message };
  }

  #take<T>(subject: string, decoded: Result<T, Fault>, use: (value: T) => void): void {
    if (decoded.ok) {
      use(decoded.value);
    } else if (this.#notUnderstood++ % COMPLAIN_EVERY === 0) {
      const { code, message } = decoded.error;
      const count = this.#notUnderstood;
      this.#options.log.warn({ subject, code, reason: message, count }, "not understood");
    }
  }
}
