/**
 * Large responses that their clients have not taken completely. Each has a time for that, and all
 * of them together a bound (I6): beyond it the connection goes that has kept one longest, because a
 * client that reads is done before it is the oldest. To refuse the newest instead would let clients
 * that do not read keep others out.
 */

import type { ServerResponse } from "node:http";

export interface UntakenLimits {
  readonly msMax: number;
  /** Of all of them; a single one may have more. */
  readonly bytesMax: number;
}

export class Untaken {
  readonly #limits: UntakenLimits;
  /** Bytes by response, in the order in which they were begun. */
  readonly #responses = new Map<ServerResponse, number>();
  #bytes = 0;

  constructor(limits: UntakenLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Watches it until the kernel has its last byte, or its connection is gone. */
  add(response: ServerResponse, bytes: number): void {
    const { msMax, bytesMax } = this.#limits;
    const { socket } = response.req;
    const late = setTimeout(() => socket.destroy(), msMax);
    response.once("close", () => {
      clearTimeout(late);
      this.#forget(response);
    });
    this.#responses.set(response, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#responses.keys()) {
      if (this.#bytes <= bytesMax || oldest === response) return;
      // At once, and not when it closes: else the next one would count it again.
      this.#forget(oldest);
      oldest.req.socket.destroy();
    }
  }

  #forget(response: ServerResponse): void {
    this.#bytes -= this.#responses.get(response) ?? 0;
    this.#responses.delete(response);
  }
}
