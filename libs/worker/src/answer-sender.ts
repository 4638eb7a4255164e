/**
 * Answers on their way out: several in one frame, large bodies as parts ahead of it. What cannot be
 * sent because the broker is away is kept for a while and sent when it is back.
 */

import {
  type Answer,
  answerBytes,
  encodeAnswers,
  encodePart,
  PART_BYTES_MAX,
  subjects,
} from "@millrace/protocol";
import { type Bus, Outbox } from "@millrace/bus";

export interface AnswerSenderOptions {
  readonly bus: Pick<Bus, "publish">;
  readonly id: string;
  readonly device: string;
  readonly nowUs: () => number;
  /** Answers that were lost for good: the ingress will ask somebody else. */
  readonly lost: (count: number) => void;
}

/** What is kept while the broker is away. */
const KEPT_MAX = 10_000;
const KEPT_BYTES_MAX = 64 * 1024 * 1024;
/** An ingress has long tried again by then. */
const KEPT_US_MAX = 10_000_000;

interface Kept {
  readonly ingress: string;
  readonly answer: Answer;
  readonly sinceUs: number;
}

const NO_BYTES = new Uint8Array(0);
const isParted = (answer: Answer): boolean => answer.body.length > PART_BYTES_MAX;

export class AnswerSender {
  readonly #options: AnswerSenderOptions;
  readonly #outbox: Outbox<Answer>;
  #kept: Kept[] = [];
  #keptBytes = 0;

  constructor(options: AnswerSenderOptions) {
    this.#options = options;
    this.#outbox = new Outbox({
      bus: options.bus,
      bytesOf: (answer) =>
        isParted(answer) ? answerBytes({ ...answer, body: NO_BYTES }) : answerBytes(answer),
      encode: (ingress, answers) => this.#encode(ingress, answers),
      dropped: (_subject, ingress, answers) => this.#keep(ingress, answers),
    });
  }

  /** Leaves with this turn of the event loop, or at `flush`. */
  send(ingress: string, answers: readonly Answer[]): void {
    const subject = subjects.answer(ingress);
    for (const answer of answers) this.#outbox.push(subject, ingress, answer);
  }

  flush(): void {
    this.#outbox.flush();
  }

  /** The broker is back. */
  resend(): void {
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    const oldestUs = this.#options.nowUs() - KEPT_US_MAX;
    for (const { ingress, answer, sinceUs } of kept) {
      if (sinceUs >= oldestUs) this.send(ingress, [answer]);
      else this.#options.lost(1);
    }
  }

  #encode(ingress: string, answers: readonly Answer[]): Uint8Array {
    const { id: from, device } = this.#options;
    if (!answers.some(isParted)) return encodeAnswers({ from, device, answers });
    const small = answers.map((answer) =>
      isParted(answer) ? this.#part(ingress, answer) : answer,
    );
    return encodeAnswers({ from, device, answers: small });
  }

  /** Sends the body ahead of its answer, over the same connection and so before it. */
  #part(ingress: string, answer: Answer): Answer {
    const { seq, attempt, body } = answer;
    const { bus, id: from } = this.#options;
    for (let offset = 0; offset < body.length; offset += PART_BYTES_MAX) {
      const bytes = body.subarray(offset, offset + PART_BYTES_MAX);
      const frame = { from, seq, attempt, offset, total: body.length, bytes };
      if (!bus.publish(subjects.answer(ingress), encodePart(frame))) break;
    }
    return { ...answer, parted: true, body: NO_BYTES };
  }

  #keep(ingress: string, answers: readonly Answer[]): void {
    const sinceUs = this.#options.nowUs();
    for (const answer of answers) {
      const bytes = this.#keptBytes + answer.body.length;
      if (this.#kept.length >= KEPT_MAX || bytes > KEPT_BYTES_MAX) {
        this.#options.lost(1); // I6
        continue;
      }
      this.#keptBytes = bytes;
      this.#kept.push({ ingress, answer, sinceUs });
    }
  }
}
