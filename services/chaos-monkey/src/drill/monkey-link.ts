/** Asks the chaos-monkey over NATS, also while faults hit NATS itself. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import {
  type Blast,
  CHAOS_COMMAND,
  CHAOS_JOURNAL,
  type ChaosEvent,
  chaosEventSchema,
  type ChaosReply,
  chaosReplySchema,
  decodeJson,
  encodeJson,
  type Fault,
  fault,
  type FaultRecord,
  type FaultSpec,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

/** A fault needs a process of its own that heals it, and a busy machine takes long to start one. */
const REPLY_MS = 8_000;
/** A broker that is started again, or a new leader, takes less. */
const PATIENCE_MS = 15_000;
const AGAIN_MS = 200;

type Good = Extract<ChaosReply, { readonly ok: true }>;
export type Said = { readonly code: string; readonly message: string };

export class MonkeyLink {
  readonly #bus: Bus;
  /** Rejects when the connection breaks: a reply on its way is lost with it. */
  #broken = Promise.withResolvers<never>();

  constructor(bus: Bus, onEvent: (event: ChaosEvent) => void) {
    this.#bus = bus;
    this.#broken.promise.catch(() => undefined);
    bus.onConnection((connected) => {
      if (connected) return;
      this.#broken.reject(new Error("the connection to NATS broke"));
      this.#broken = Promise.withResolvers();
      this.#broken.promise.catch(() => undefined);
    });
    bus.subscribe(CHAOS_JOURNAL, (bytes) => {
      const event = decodeJson(chaosEventSchema, bytes);
      if (event.ok) onEvent(event.value);
    });
  }

  /** Faults: DISCONNECTED where no monkey answers; otherwise what the monkey says. */
  list(): Promise<Result<Good, Said>> {
    return this.#ask({ v: 1, op: "list" }, 0);
  }

  status(): Promise<Result<Good, Said>> {
    return this.#ask({ v: 1, op: "status" }, PATIENCE_MS);
  }

  async inject(spec: FaultSpec, blast: Blast, seed: number): Promise<Result<FaultRecord, Said>> {
    const reply = await this.#ask({ v: 1, op: "inject", fault: spec, blast, seed }, 0);
    if (!reply.ok) return reply;
    const record = reply.value.fault;
    return record === undefined
      ? fail(fault("INTERNAL", "the chaos-monkey names no fault"))
      : ok(record);
  }

  heal(id: string): Promise<Result<Good, Said>> {
    return this.#ask({ v: 1, op: "heal", id }, PATIENCE_MS);
  }

  /** Ends every fault. What it does not reach ends by its own time. */
  abort(reason: string): Promise<Result<Good, Said>> {
    return this.#ask({ v: 1, op: "abort", reason }, PATIENCE_MS);
  }

  async #ask(command: object, patienceMs: number): Promise<Result<Good, Said>> {
    const lastAtMs = performance.now() + patienceMs;
    for (;;) {
      const reply = await this.#once(command);
      if (reply.ok || reply.error.code !== "DISCONNECTED") return reply;
      if (performance.now() > lastAtMs) return reply;
      await sleep(AGAIN_MS);
    }
  }

  async #once(command: object): Promise<Result<Good, Said>> {
    // What is asked without a connection is lost, and would be waited for all the same.
    if (!this.#bus.connected) return fail(unreached("not connected to NATS"));
    try {
      const options = { timeout: REPLY_MS };
      const { connection } = this.#bus;
      const asked = connection.request(CHAOS_COMMAND, encodeJson(command), options);
      const reply = await Promise.race([asked, this.#broken.promise]);
      const read = decodeJson(chaosReplySchema, reply.data);
      if (!read.ok) return read;
      return read.value.ok ? ok(read.value) : fail(read.value.error);
    } catch (error) {
      return fail(unreached(error));
    }
  }
}

const unreached = (error: unknown): Fault =>
  fault("DISCONNECTED", error instanceof Error ? error.message : String(error));
