/**
 * One NATS connection, as Millrace uses it: what cannot be sent is refused at once, a server that
 * is lost is left within two seconds, and nobody's mistake is silent.
 *
 * - While the connection is down nats.js accepts a publish and loses it; here `publish` is false.
 * - A handler that throws would end nats.js's reader and leave a deaf connection; here it ends the
 *   process, because it is a bug.
 * - A permission violation is only a status event; here it is counted and logged.
 */

import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionId } from "@millrace/protocol";
import { type Log, present } from "@millrace/std";
import {
  type NatsConnection,
  PermissionViolationError,
  type Status,
} from "@nats-io/transport-node";
import { type BusOptions, firstConnection } from "./connecting.ts";
import { crash } from "./crash.ts";

/** Frames and parts (protocol `limits.ts`) fit into this, the default of every NATS server. */
const PAYLOAD_BYTES_MIN = 1024 * 1024;
const DRAIN_TIMEOUT_MS = 2000;

export interface BusCounters {
  /** Subjects that this user may not use: a mistake in the permission table, or an intrusion. */
  readonly permissionErrors: number;
  readonly slowConsumers: number;
  readonly reconnects: number;
}

export interface Subscribed {
  /** Stops the flow; resolves when everything already on its way has been handled. */
  drain(): Promise<void>;
}

export interface Bus extends AsyncDisposable {
  /** For JetStream; plain messages go through {@link Bus.publish}. */
  readonly connection: NatsConnection;
  readonly connected: boolean;
  /** Another one after each reconnection, and none before: whoever says it reads it then. */
  readonly connectionId: ConnectionId | undefined;
  /** What the server accepts in one message. */
  readonly maxPayloadBytes: number;
  readonly counters: BusCounters;
  /**
   * False: not connected, and nothing was sent. True is no promise of delivery: what is on its way
   * when a connection breaks is lost. The bytes must not change before the turn of the event loop
   * ends; nats.js copies them by then.
   */
  publish(subject: string, bytes: Uint8Array): boolean;
  /**
   * The handler is synchronous, and may keep the bytes without a copy: they are a view, perhaps
   * unaligned, of a read buffer of up to 64 KiB that nobody writes again and that lives as long as
   * the view does. What is kept for long is better copied.
   */
  subscribe(subject: string, handler: (bytes: Uint8Array, subject: string) => void): Subscribed;
  /** Called at every change from now on. */
  onConnection(handler: (connected: boolean) => void): void;
  /**
   * Drains the subscriptions, then refuses to publish, sends what was published, and closes; within
   * {@link DRAIN_TIMEOUT_MS}. Whoever answers asynchronously drains its own subscription first,
   * finishes, and then comes here.
   */
  drain(): Promise<void>;
}

/**
 * Waits until a server takes the connection, however long that is, and logs what it waits for.
 * @throws Error when the server's `max_payload` is too small; AbortError when `signal` says so.
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const connection = await firstConnection(options);
  const bus = new NatsBus(connection, options.log);
  if (bus.maxPayloadBytes < PAYLOAD_BYTES_MIN) {
    const server = connection.getServer();
    await bus.drain();
    throw new Error(
      `NATS at ${server} takes messages of ${bus.maxPayloadBytes} bytes: ` +
        `set its max_payload to at least ${PAYLOAD_BYTES_MIN}`,
    );
  }
  return bus;
}

class NatsBus implements Bus {
  readonly connection: NatsConnection;
  readonly counters = { permissionErrors: 0, slowConsumers: 0, reconnects: 0 };
  readonly #log: Log;
  readonly #handlers: ((connected: boolean) => void)[] = [];
  readonly #subscribed = new Set<Subscribed>();
  #state: "connected" | "disconnected" | "closed" = "connected";
  #drained: Promise<void> | undefined;
  #maxPayloadBytes: number;

  constructor(connection: NatsConnection, log: Log) {
    this.connection = connection;
    this.#log = log;
    this.#maxPayloadBytes = payloadBytesOf(connection);
    void this.#watch();
  }

  get connected(): boolean {
    return this.#state === "connected";
  }

  get connectionId(): ConnectionId | undefined {
    const { info } = this.connection;
    return info === undefined ? undefined : { server: info.server_id, client: info.client_id };
  }

  get maxPayloadBytes(): number {
    return this.#maxPayloadBytes;
  }

  publish(subject: string, bytes: Uint8Array): boolean {
    if (this.#state !== "connected") return false;
    this.connection.publish(subject, bytes);
    return true;
  }

  subscribe(subject: string, handler: (bytes: Uint8Array, subject: string) => void): Subscribed {
    // The subject of a message need only be decoded where it can differ.
    const fixed = /[*>]/.test(subject) ? undefined : subject;
    const subscription = this.connection.subscribe(subject, {
      callback: (error, message) => {
        // Refused by the server: the status event says so, and nats.js ends the subscription.
        if (error !== null) return;
        try {
          handler(message.data, fixed ?? message.subject);
        } catch (bug) {
          crash(bug);
        }
      },
    });
    const subscribed = {
      drain: async (): Promise<void> => {
        this.#subscribed.delete(subscribed);
        if (!subscription.isClosed()) await subscription.drain();
      },
    };
    this.#subscribed.add(subscribed);
    return subscribed;
  }

  onConnection(handler: (connected: boolean) => void): void {
    this.#handlers.push(handler);
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  async #drain(): Promise<void> {
    // A connection that breaks meanwhile would keep nats.js waiting for its reconnection.
    const late = sleep(DRAIN_TIMEOUT_MS, undefined, { ref: false });
    if (this.connected) await Promise.race([this.#finish(), late]);
    this.#state = "closed";
    await this.connection.close();
  }

  async #finish(): Promise<void> {
    await Promise.allSettled([...this.#subscribed].map((subscribed) => subscribed.drain()));
    this.#state = "closed";
    await this.connection.drain().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    for await (const status of this.connection.status()) this.#noticed(status);
    if (this.#drained !== undefined) return;
    crash(new Error("the NATS client closed by itself", { cause: await this.connection.closed() }));
  }

  #noticed(status: Status): void {
    switch (status.type) {
      case "staleConnection":
        destroySocket(this.connection);
        this.#changed("disconnected");
        break;
      case "disconnect":
        this.#changed("disconnected");
        break;
      case "reconnect":
        this.counters.reconnects++;
        this.#maxPayloadBytes = payloadBytesOf(this.connection);
        this.#changed("connected");
        break;
      case "slowConsumer":
        this.counters.slowConsumers++;
        break;
      case "error":
        this.#refused(status.error);
        break;
      case "ldm":
        // The server is about to stop: better now to another one than later in a hurry.
        if (this.connection.getServers().length > 1) void this.connection.reconnect();
        break;
      case "ping":
      case "reconnecting":
      case "forceReconnect":
      case "update":
      case "close":
        break;
    }
  }

  #refused(error: Error): void {
    if (error instanceof PermissionViolationError) this.counters.permissionErrors++;
    else if (/slow consumer/i.test(error.message)) this.counters.slowConsumers++;
    this.#log.error({ err: error }, "the NATS server reports an error");
  }

  #changed(state: "connected" | "disconnected"): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    const server = this.connection.getServer();
    if (state === "connected") this.#log.info({ server }, "connected to NATS again");
    else this.#log.warn({ server }, "the connection to NATS is lost");
    for (const handler of this.#handlers) handler(state === "connected");
  }
}

const payloadBytesOf = (connection: NatsConnection): number =>
  present(connection.info, "the connected server's description").max_payload;

/**
 * Before it leaves a stale connection, nats.js 3.4.0 flushes it. To a frozen server with full
 * buffers that never ends, and no other server is tried; a destroyed socket ends the flush.
 */
function destroySocket(connection: NatsConnection): void {
  const inner = connection as unknown as { protocol?: { transport?: { socket?: Socket } } };
  inner.protocol?.transport?.socket?.destroy();
}
