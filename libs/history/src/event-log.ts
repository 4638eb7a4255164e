/**
 * An append-only stream of JSON entries: each is written once however often it is sent, and read
 * in the order in which it was acknowledged.
 */

import { DeliverPolicy, jetstream, type JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { decodeJson, encodeJson, type Fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX, storageFault } from "@millrace/store";
import type * as v from "valibot";

export interface EventLogOptions<S extends v.GenericSchema> {
  readonly stream: string;
  readonly schema: S;
  readonly subjectOf: (entry: v.InferOutput<S>) => string;
  /** Entries with the same key within the stream's window are one; the first stands. */
  readonly keyOf: (entry: v.InferOutput<S>) => string;
}

export interface ReadOptions {
  /** Unix microseconds: entries acknowledged from then on. Default: all that are kept. */
  readonly sinceUs?: number;
  /** Default: every subject of the stream. */
  readonly subject?: string;
  /** An entry that is not understood, with its subject; it is skipped. */
  readonly problem?: (problem: Fault) => void;
}

const PAGE = 1_000;
const EXPIRES_MS = 2_000;

export class EventLog<S extends v.GenericSchema> {
  readonly #client: JetStreamClient;
  readonly #options: EventLogOptions<S>;

  constructor(connection: NatsConnection, options: EventLogOptions<S>) {
    this.#client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
    this.#options = options;
  }

  /**
   * Resolves once the entry is on the disk. Faults: DISCONNECTED and FORBIDDEN as of any storage
   * call; after DISCONNECTED the entry may be there, and is sent again with the same key.
   */
  async append(entry: v.InferOutput<S>): Promise<Result<void, Fault>> {
    const { keyOf, stream, subjectOf } = this.#options;
    try {
      await this.#client.publish(subjectOf(entry), encodeJson(entry), {
        msgID: keyOf(entry),
        expect: { streamName: stream },
      });
      return ok(undefined);
    } catch (error) {
      return fail(storageFault(error, `writing to ${stream}`));
    }
  }

  /** Drops everything; needs the rights of `admin`. Faults: those of any storage call. */
  async clear(): Promise<Result<void, Fault>> {
    const { stream } = this.#options;
    try {
      const { streams } = await this.#client.jetstreamManager(false);
      await streams.purge(stream);
      return ok(undefined);
    } catch (error) {
      return fail(storageFault(error, `clearing ${stream}`));
    }
  }

  /**
   * The entries that are there now, in order.
   * Faults: those of any storage call; what was read before it is lost with it.
   */
  async read(options: ReadOptions = {}): Promise<Result<v.InferOutput<S>[], Fault>> {
    const { schema, stream } = this.#options;
    const { problem, sinceUs, subject } = options;
    try {
      const consumer = await this.#client.consumers.get(stream, {
        ...(subject === undefined ? {} : { filter_subjects: subject }),
        ...(sinceUs === undefined
          ? { deliver_policy: DeliverPolicy.All }
          : {
              deliver_policy: DeliverPolicy.StartTime,
              opt_start_time: new Date(sinceUs / 1000).toISOString(),
            }),
      });
      const { num_pending: pending } = await consumer.info();
      const entries: v.InferOutput<S>[] = [];
      for (let read = 0; read < pending;) {
        const before = read;
        const max_messages = Math.min(PAGE, pending - read);
        for await (const message of await consumer.fetch({ max_messages, expires: EXPIRES_MS })) {
          read++;
          const decoded = decodeJson(schema, message.data);
          if (decoded.ok) entries.push(decoded.value);
          else problem?.(decoded.error);
        }
        // What was removed meanwhile by the stream's bounds does not come any more.
        if (read === before) break;
      }
      // Otherwise the server would keep it for five minutes, and this is asked every second.
      void consumer.delete().catch(() => undefined);
      return ok(entries);
    } catch (error) {
      return fail(storageFault(error, `reading ${stream}`));
    }
  }
}
