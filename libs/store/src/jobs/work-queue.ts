/**
 * A queue of durable work: a message stays in it until whoever took it says that it is done, and is
 * given to somebody else when the taker falls silent.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Consumer, JetStreamClient, JsMsg } from "@nats-io/jetstream";
import type { Fault } from "@millrace/protocol";
import { assert, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX } from "../storage.ts";
import { attempt, persist } from "./calls.ts";

/** One message in the hands of a taker. */
export interface Task {
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** How often it was given out, this time included. */
  readonly deliveries: number;
  /** Since it was put into the queue. */
  readonly ageUs: number;
  /** Says that it is being worked on, to be said more often than every `ACK_WAIT_MS`. */
  working(): void;
  /** Gives it back, for later. */
  again(delayMs: number): void;
  /** Takes it out of the queue. False where nobody confirmed: it may be given out once more. */
  done(): Promise<boolean>;
}

export interface WorkQueue {
  /** Resolves when the message is on the disk; the same id is put in once. Repeats for 15 s. */
  add(subject: string, id: string, bytes: Uint8Array): Promise<Result<void, Fault>>;
  /** Undefined where nothing came in this time. Faults: those of `jobFault`. */
  take(waitMs: number): Promise<Result<Task | undefined, Fault>>;
  /** Messages in the queue, by subject. Faults: those of `jobFault`. */
  count(filter: string): Promise<Result<ReadonlyMap<string, number>, Fault>>;
}

/** What the client adds to a pull request's own time before it gives up. */
const SLACK_MS = 3_000;
const MS_US = 1000;

export class StreamQueue implements WorkQueue {
  readonly #client: JetStreamClient;
  readonly #stream: string;
  readonly #name: string;
  #consumer: Consumer | undefined;

  /** @param consumer the durable consumer whose messages are taken. */
  constructor(client: JetStreamClient, stream: string, consumer: string) {
    this.#client = client;
    this.#stream = stream;
    this.#name = consumer;
  }

  async add(subject: string, id: string, bytes: Uint8Array): Promise<Result<void, Fault>> {
    const options = { msgID: id, timeout: CALL_MS_MAX };
    const added = await persist("queueing", () => this.#client.publish(subject, bytes, options));
    return added.ok ? ok(undefined) : added;
  }

  async take(waitMs: number): Promise<Result<Task | undefined, Fault>> {
    const came = new AbortController();
    const message = await attempt("taking from the queue", async () => {
      this.#consumer ??= await this.#client.consumers.get(this.#stream, this.#name);
      // A pull that was lost with its connection may never end by itself.
      const late = sleep(waitMs + SLACK_MS, null, { ref: false, signal: came.signal });
      return Promise.race([this.#consumer.next({ expires: waitMs }), late.catch(() => null)]);
    });
    came.abort();
    if (!message.ok) {
      // It may have been made anew, with its stream.
      this.#consumer = undefined;
      return message;
    }
    assert(message.value !== "conflict", "a read conflicts with nothing");
    return ok(message.value === null ? undefined : taskOf(message.value));
  }

  async count(filter: string): Promise<Result<ReadonlyMap<string, number>, Fault>> {
    const info = await attempt("counting the queue", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      return streams.info(this.#stream, { subjects_filter: filter });
    });
    if (!info.ok) return info;
    assert(info.value !== "conflict", "a read conflicts with nothing");
    return ok(new Map(Object.entries(info.value.state.subjects ?? {})));
  }
}

const taskOf = (message: JsMsg): Task => ({
  subject: message.subject,
  bytes: message.data,
  deliveries: message.info.deliveryCount,
  ageUs: Math.max(0, Date.now() - message.time.getTime()) * MS_US,
  working: () => quietly(() => message.working()),
  // A server passes over a delay that is not whole.
  again: (delayMs) => quietly(() => message.nak(Math.ceil(delayMs))),
  done: () => message.ackAck({ timeout: CALL_MS_MAX }).catch(() => false),
});

/** A closed connection cannot be told anything: the server finds out by itself. */
function quietly(say: () => void): void {
  try {
    say();
  } catch {
    // The message is given out again after `ACK_WAIT_MS`.
  }
}
