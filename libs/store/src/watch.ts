/** Following the registry: what is there, then what changes, through any restart of NATS. */

import { type ConsumerMessages, DeliverPolicy, type JetStreamClient } from "@nats-io/jetstream";
import { setTimeout as delay } from "node:timers/promises";
import { type Fault, FaultError, type ModelRecord, REGISTRY_BUCKET } from "@millrace/protocol";
import { decodeRecord } from "./record-bytes.ts";
import { storageFault } from "./storage.ts";

export interface RegistryWatcher {
  /** A record that is new or changed. */
  changed(record: ModelRecord): void;
  /** The model is gone; it may never have been announced, if its record did not validate. */
  removed(name: string): void;
  /** A record that was skipped, or why the registry cannot be read; default: a process warning. */
  problem?(problem: Fault): void;
}

const STREAM = `KV_${REGISTRY_BUCKET}`;
const SUBJECT_PREFIX = `$KV.${REGISTRY_BUCKET}.`;
const RETRY_MS = 250;

/** A fault that no caller can be given. */
export const warn = (problem: Fault): void => {
  process.emitWarning(problem.message, { code: problem.code });
};

export class Watch implements AsyncDisposable {
  readonly #jetstream: JetStreamClient;
  readonly #watcher: RegistryWatcher;
  /** The revision last seen of each present key. */
  readonly #revisions = new Map<string, number>();
  readonly #stopping = new AbortController();
  readonly #current = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;
  #messages: ConsumerMessages | undefined;
  #lastProblem = "";

  constructor(jetstream: JetStreamClient, watcher: RegistryWatcher) {
    this.#jetstream = jetstream;
    this.#watcher = watcher;
    this.#ended = this.#run();
  }

  /** Resolves when every present record was told; rejects when the watch ends before that. */
  get current(): Promise<void> {
    return this.#current.promise;
  }

  /** Reads everything again: what the broker sent while it could not be heard is unknown. */
  resync(): void {
    this.#messages?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#messages?.stop();
    this.#current.reject(new FaultError("DISCONNECTED", "the watch on the registry was ended"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const failure = await this.#follow();
      if (failure === undefined || signal.aborted) continue;
      const problem = storageFault(failure, "watching the registry");
      // Said once per cause, not once per attempt.
      if (problem.message !== this.#lastProblem) this.#report(problem);
      this.#lastProblem = problem.message;
      await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One consumer, from the present state on; the error that ended it, undefined for a stop. */
  async #follow(): Promise<unknown> {
    try {
      const consumer = await this.#jetstream.consumers.getPushConsumer(STREAM, {
        filter_subjects: `${SUBJECT_PREFIX}>`,
        deliver_policy: DeliverPolicy.LastPerSubject,
      });
      const { num_pending: present } = await consumer.info(true);
      const messages = await consumer.consume();
      this.#messages = messages;
      if (this.#stopping.signal.aborted) messages.stop();
      this.#lastProblem = "";
      await this.#read(messages, present);
      // Otherwise the server would keep it for five minutes.
      void consumer.delete().catch(() => undefined);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #read(messages: ConsumerMessages, present: number): Promise<void> {
    const keys = new Set<string>();
    let left = present;
    if (left === 0) this.#caughtUp(keys);
    for await (const message of messages) {
      const key = message.subject.slice(SUBJECT_PREFIX.length);
      const deleted = message.headers?.has("KV-Operation") ?? false;
      this.#apply(key, message.seq, deleted ? undefined : message.data);
      if (left === 0) continue;
      if (!deleted) keys.add(key);
      left = message.info.pending === 0 ? 0 : left - 1;
      if (left === 0) this.#caughtUp(keys);
    }
  }

  #apply(key: string, revision: number, data: Uint8Array | undefined): void {
    if (data === undefined) {
      if (this.#revisions.delete(key)) this.#tell(() => this.#watcher.removed(key));
      return;
    }
    if (this.#revisions.get(key) === revision) return;
    this.#revisions.set(key, revision);
    const record = decodeRecord(key, data);
    if (record.ok) this.#tell(() => this.#watcher.changed(record.value));
    else this.#report(record.error);
  }

  #caughtUp(keys: ReadonlySet<string>): void {
    for (const key of this.#revisions.keys()) {
      if (!keys.has(key)) this.#apply(key, 0, undefined);
    }
    this.#current.resolve();
  }

  #report(problem: Fault): void {
    this.#tell(() => {
      if (this.#watcher.problem === undefined) warn(problem);
      else this.#watcher.problem(problem);
    });
  }

  /** A watcher that throws is a bug: it must end the process, and not only this loop. */
  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
