/** Holds each client to its share: so many requests open at once, so many begun a second. */

import type { Fault } from "@millrace/protocol";
import { Bucket } from "./bucket.ts";
import type { ClientLimits } from "./events.ts";

/**
 * Beyond this, clients with nothing open are forgotten; not before, because a map in which an entry
 * comes and goes with each request leaves a chain of tables to the collector (see std's NumberMap).
 */
const CLIENTS_MAX = 10_000;
/** A client at its concurrency cap may try again when one of its own requests has ended. */
const RETRY_AFTER_US = 100_000;

interface Client {
  readonly limits: ClientLimits;
  readonly bucket: Bucket | undefined;
  open: number;
}

export class Clients {
  readonly #clients = new Map<string, Client>();
  readonly #defaults: ClientLimits;

  constructor(defaults: ClientLimits) {
    this.#defaults = defaults;
  }

  /** Takes a place for one request, or says why there is none. */
  enter(id: string, limits: ClientLimits | undefined, nowUs: number): Fault | undefined {
    const client = this.#client(id, limits ?? this.#defaults, nowUs);
    if (client.open >= client.limits.openMax) {
      const message = `${client.limits.openMax} requests of this client are open already`;
      return { code: "RATE_LIMITED", message, retryAfterUs: RETRY_AFTER_US };
    }
    if (client.bucket !== undefined && !client.bucket.take(nowUs)) {
      const message = `this client may begin ${client.limits.perSecondMax} requests a second`;
      return { code: "RATE_LIMITED", message, retryAfterUs: client.bucket.waitUs(nowUs) };
    }
    client.open++;
    return undefined;
  }

  leave(id: string): void {
    const client = this.#clients.get(id);
    if (client !== undefined) client.open--;
  }

  #client(id: string, limits: ClientLimits, nowUs: number): Client {
    const known = this.#clients.get(id);
    // Limits change when the keys are read again; what is open stays counted.
    if (known !== undefined && known.limits === limits) return known;
    const { perSecondMax } = limits;
    const client: Client = {
      limits,
      bucket:
        perSecondMax === Infinity
          ? undefined
          : new Bucket(perSecondMax, Math.max(1, perSecondMax), nowUs),
      open: known?.open ?? 0,
    };
    if (this.#clients.size >= CLIENTS_MAX) this.#forgetIdle();
    this.#clients.set(id, client);
    return client;
  }

  #forgetIdle(): void {
    for (const [id, client] of this.#clients) if (client.open === 0) this.#clients.delete(id);
  }
}
