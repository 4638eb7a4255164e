/** How a connection is made: the options, each with its reason, and the wait for the first one. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "@millrace/std";
import {
  connect,
  type ConnectionOptions,
  type NatsConnection,
  nkeyAuthenticator,
} from "@nats-io/transport-node";

export interface BusOptions {
  /** `nats://host:port`, at least one. */
  readonly servers: readonly string[];
  /** The connection's name: the service's id, which the broker's disconnect events carry. */
  readonly name: string;
  /** The NKey seed of the service's user; absent where the server asks for none. */
  readonly seed?: string | undefined;
  /** `_INBOX_<role>`: nobody else may listen there. */
  readonly inboxPrefix: string;
  readonly log: Log;
  /** Ends the wait for the first connection. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * nats.js can wait for a first connection too (`waitOnFirstConnect`), but in silence and without an
 * end; here a wrong seed or address is in the log, once per reason.
 */
export async function firstConnection(options: BusOptions): Promise<NatsConnection> {
  const said = new Set<string>();
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      return await connect(connectionOptions(options));
    } catch (error) {
      const { message: reason } = error as Error;
      if (!said.has(reason)) {
        said.add(reason);
        options.log.warn({ servers: options.servers, reason }, "waiting for NATS");
      }
    }
    await sleep(reconnectDelayMs(), undefined, { signal: options.signal });
  }
}

const connectionOptions = (options: BusOptions): ConnectionOptions => ({
  servers: [...options.servers],
  name: options.name,
  inboxPrefix: options.inboxPrefix,
  ...(options.seed === undefined
    ? {}
    : { authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)) }),
  // The kernel of a frozen server still accepts; the default waits 20 s for its greeting.
  timeout: 1000,
  // A dead link is noticed within 1.5 s, not 6 min.
  pingInterval: 500,
  maxPingOut: 2,
  maxReconnectAttempts: -1,
  reconnectDelayHandler: reconnectDelayMs,
  // The one dialled longest ago: nats.js would begin with the one that was just lost.
  reconnectToServer: (pool) =>
    pool.reduce((oldest, server) => (server.lastConnect < oldest.lastConnect ? server : oldest)),
  // A server that comes back with another configuration may refuse for a while.
  ignoreAuthErrorAbort: true,
  noAsyncTraces: true,
});

/** The default is 2 s. Jitter, so that a restarted server is not met by everybody at once. */
const reconnectDelayMs = (): number => 50 + Math.floor(Math.random() * 100);
