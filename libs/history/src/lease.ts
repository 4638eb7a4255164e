/**
 * A lease: at most one process believes that it holds it, and what it does carries an epoch, so
 * that whoever woke up late is told from whoever holds it now.
 *
 * The server judges how long it lasts (a key with a time to live in a bucket). The holder stops
 * before: at 0.6 of that time after the moment it *sent* the renewal that was acknowledged last, by
 * its own monotonic clock. A renewal is a raw publish with the time to live in its header, as the
 * client's own `update` would drop that and make the lease immortal.
 */

import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { LEASE_BUCKET } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import { CALL_MS_MAX, storageFault } from "@millrace/store";

export interface LeaseOptions {
  /** What is held: one key of the bucket. */
  readonly name: string;
  /** Who holds it, for people who look. */
  readonly holder: string;
  readonly log: Log;
  /** Whole seconds, the server's granularity. Default 2. */
  readonly ttlSeconds?: number;
}

const TTL_SECONDS = 2;
const SAFE_SHARE = 0.6;
const TICK_MS = 250;

export class Lease implements AsyncDisposable {
  readonly #client: JetStreamClient;
  readonly #kv: KV;
  readonly #options: LeaseOptions;
  readonly #ttlSeconds: number;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #epoch: number | undefined;
  #revision = 0;
  #safeUntilMs = 0;
  #lastProblem = "";

  private constructor(client: JetStreamClient, kv: KV, options: LeaseOptions) {
    this.#client = client;
    this.#kv = kv;
    this.#options = options;
    this.#ttlSeconds = options.ttlSeconds ?? TTL_SECONDS;
    this.#ended = this.#run();
  }

  /** Begins to try for it, and goes on until it is disposed. */
  static async open(connection: NatsConnection, options: LeaseOptions): Promise<Lease> {
    const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
    const bucket = { allow_direct: false, timeout: CALL_MS_MAX };
    return new Lease(client, await new Kvm(client).open(LEASE_BUCKET, bucket), options);
  }

  /**
   * The holder's epoch, which grows with every change of hands; undefined while it is not held for
   * sure. Asked for again before every effect.
   */
  get epoch(): number | undefined {
    return performance.now() < this.#safeUntilMs ? this.#epoch : undefined;
  }

  /** Gives it up, so that the next one has it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
    if (this.epoch === undefined) return;
    this.#safeUntilMs = 0;
    const gone = { previousSeq: this.#revision };
    await this.#kv.purge(this.#options.name, gone).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const before = this.epoch;
      try {
        await (this.#epoch === undefined ? this.#acquire() : this.#renew());
        this.#lastProblem = "";
      } catch (error) {
        this.#noticed(error);
      }
      const { epoch } = this;
      const { holder, log, name } = this.#options;
      if (epoch !== before) log.info({ lease: name, holder, epoch: epoch ?? 0 }, "lease");
      await sleep(TICK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #acquire(): Promise<void> {
    const { holder, name } = this.#options;
    const sentAtMs = performance.now();
    const revision = await this.#kv
      .create(name, holder, `${this.#ttlSeconds}s`)
      .catch((error: unknown) => {
        if (isHeld(error)) return undefined;
        throw error;
      });
    if (revision === undefined) return;
    this.#epoch = revision;
    this.#held(revision, sentAtMs);
  }

  async #renew(): Promise<void> {
    const { holder, name } = this.#options;
    const header = headers();
    header.set("Nats-TTL", `${this.#ttlSeconds}s`);
    const sentAtMs = performance.now();
    try {
      const { seq } = await this.#client.publish(`$KV.${LEASE_BUCKET}.${name}`, holder, {
        headers: header,
        expect: { lastSubjectSequence: this.#revision },
        timeout: TICK_MS * 2,
        retries: 0,
      });
      this.#held(seq, sentAtMs);
    } catch (error) {
      // Taken by another, or over: whoever holds it now has a higher epoch. A renewal that nobody
      // answered is tried again, until the safe time is over.
      if (!isHeld(error) && performance.now() < this.#safeUntilMs) throw error;
      this.#epoch = undefined;
      this.#safeUntilMs = 0;
      if (!isHeld(error)) throw error;
    }
  }

  #held(revision: number, sentAtMs: number): void {
    this.#revision = revision;
    this.#safeUntilMs = sentAtMs + this.#ttlSeconds * 1000 * SAFE_SHARE;
  }

  #noticed(error: unknown): void {
    const { message } = storageFault(error, `the lease ${this.#options.name}`);
    if (message !== this.#lastProblem) this.#options.log.warn({ reason: message }, "lease");
    this.#lastProblem = message;
  }
}

/** Somebody else wrote the key: "wrong last sequence", which is 10071 or 10164. */
const isHeld = (error: unknown): boolean =>
  error instanceof Error && /wrong last sequence/.test(error.message);
