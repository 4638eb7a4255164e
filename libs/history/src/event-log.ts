/**
 * An append-only stream of JSON entries: each is written once however often it is sent, and read
 * in the order in which it was acknowledged.
 */

import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { decodeJson, encodeJson, type Fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX, pagesOf, storageFault } from "@millrace/store";
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
  /** From this number of the stream on: what `readPages` said. Default: all that are kept. */
  readonly fromSeq?: number;
  /** Default: every subject of the stream. */
  readonly subject?: string;
  /** An entry that is not understood, with its subject; it is skipped. */
  readonly problem?: (problem: Fault) => void;
}

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
   * The entries that are there now, in order, in one piece of memory: for bounded times.
   * Faults: those of any storage call; what was read before it is lost with it.
   */
  async read(options: ReadOptions = {}): Promise<Result<v.InferOutput<S>[], Fault>> {
    const entries: v.InferOutput<S>[] = [];
    const read = await this.readPages(options, (page) => {
      for (const entry of page) entries.push(entry);
    });
    return read.ok ? ok(entries) : read;
  }

  /**
   * Hands `take` the entries that are there now, in order, about a thousand at a time.
   * @param take with the page, and the number from which a later call reads on.
   * Faults: those of any storage call; what was handed over before it stands.
   */
  async readPages(
    options: ReadOptions,
    take: (page: readonly v.InferOutput<S>[], nextSeq: number) => void,
  ): Promise<Result<void, Fault>> {
    const { schema, stream } = this.#options;
    const { fromSeq, problem, sinceUs, subject } = options;
    try {
      const { streams } = await this.#client.jetstreamManager(false);
      for await (const page of pagesOf(streams, { stream, subject, sinceUs, fromSeq })) {
        const entries: v.InferOutput<S>[] = [];
        for (const { data } of page.messages) {
          const decoded = decodeJson(schema, data);
          if (decoded.ok) entries.push(decoded.value);
          else problem?.(decoded.error);
        }
        take(entries, page.nextSeq);
      }
      return ok(undefined);
    } catch (error) {
      return fail(storageFault(error, `reading ${stream}`));
    }
  }
}
