/**
 * Sends large bodies to the workers that fetch them, in parts. The broker's reading sets the pace:
 * what is written and not yet read by it is bounded, because the client library's buffer is not.
 */

import type { Bus } from "@millrace/bus";
import { encodePart, type FetchFrame, PART_BYTES_MAX, subjects } from "@millrace/protocol";
import type { Exchange } from "./exchange.ts";

export interface BodySenderOptions {
  readonly bus: Pick<Bus, "publish">;
  /** Resolves when the broker has read everything that was published before. */
  readonly flush: () => Promise<void>;
  /** The sender's name in part frames. */
  readonly address: string;
  readonly find: (seq: number) => Exchange | undefined;
}

interface Fetch {
  readonly worker: string;
  readonly seq: number;
  readonly attempt: number;
  offset: number;
}

const WINDOW_BYTES_MAX = 8 * 1024 * 1024;
/** Fetches that wait for their turn; the bodies are bounded elsewhere. */
const FETCHES_MAX = 16_384;
const NO_BYTES = new Uint8Array(0);

export class BodySender {
  readonly #options: BodySenderOptions;
  #fetches: Fetch[] = [];
  #next = 0;
  /** Written since the broker was last known to have read everything. */
  #unread = 0;
  #state: "idle" | "flushing" = "idle";

  constructor(options: BodySenderOptions) {
    this.#options = options;
  }

  fetched({ worker, wants }: FetchFrame): void {
    for (const { seq, attempt } of wants) {
      const isFull = this.#fetches.length - this.#next >= FETCHES_MAX;
      if (isFull || this.#options.find(seq)?.isRemote !== true) this.#sayGone(worker, seq, attempt);
      else this.#fetches.push({ worker, seq, attempt, offset: 0 });
    }
    this.#send();
  }

  #send(): void {
    if (this.#state === "flushing") return;
    while (this.#next < this.#fetches.length && this.#unread < WINDOW_BYTES_MAX) {
      if (!this.#sendPart(this.#fetches[this.#next] as Fetch)) {
        // Without a connection all of it is asked for again, by the tickets that are sent again.
        this.#next = this.#fetches.length;
      }
    }
    if (this.#next === this.#fetches.length) {
      this.#fetches = [];
      this.#next = 0;
    }
    if (this.#unread >= WINDOW_BYTES_MAX) this.#flush();
  }

  /** False when there is no connection. */
  #sendPart(fetch: Fetch): boolean {
    const { worker, seq, attempt, offset } = fetch;
    const exchange = this.#options.find(seq);
    if (exchange === undefined) {
      this.#next++;
      return this.#sayGone(worker, seq, attempt);
    }
    const length = Math.min(PART_BYTES_MAX, exchange.bodyBytes - offset);
    const part = exchange.encodePart(this.#options.address, attempt, offset, length);
    fetch.offset += length;
    if (fetch.offset === exchange.bodyBytes) this.#next++;
    this.#unread += part.length;
    return this.#options.bus.publish(subjects.tensor(worker), part);
  }

  #sayGone(worker: string, seq: number, attempt: number): boolean {
    const { address: from, bus } = this.#options;
    const part = { from, seq, attempt, offset: 0, total: 0, bytes: NO_BYTES };
    return bus.publish(subjects.tensor(worker), encodePart(part));
  }

  #flush(): void {
    this.#state = "flushing";
    const flushed = (): void => {
      this.#state = "idle";
      this.#unread = 0;
      this.#send();
    };
    // A connection that breaks meanwhile has nothing unread either.
    this.#options.flush().then(flushed, flushed);
  }
}
