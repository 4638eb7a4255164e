/**
 * Small documents by name, of which the last one counts: the forecast of a model, the plan of the
 * fleet. Written by whoever holds the lease; a lower epoch than the one that is there is refused.
 */

import { jetstream } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { encodeJson, type Fault, fault, FORECAST_BUCKET } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX, isConflict, storageFault } from "@millrace/store";

export interface Document {
  readonly epoch: number;
  /** When it was written, Unix microseconds. */
  readonly atUs: number;
  readonly content: unknown;
}

export class Documents {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async open(connection: NatsConnection): Promise<Documents> {
    const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
    const bucket = { allow_direct: false, timeout: CALL_MS_MAX };
    return new Documents(await new Kvm(client).open(FORECAST_BUCKET, bucket));
  }

  /** Undefined where nobody wrote one. Faults: those of any storage call. */
  async get(name: string): Promise<Result<Document | undefined, Fault>> {
    try {
      const entry = await this.#kv.get(name);
      if (entry === null || entry.operation !== "PUT") return ok(undefined);
      return ok(entry.json<Document>());
    } catch (error) {
      return fail(storageFault(error, `reading ${FORECAST_BUCKET}`));
    }
  }

  /** Faults: LEASE_LOST where a later epoch has written; else those of any storage call. */
  async put(name: string, document: Document): Promise<Result<void, Fault>> {
    try {
      const entry = await this.#kv.get(name);
      const there = entry === null || entry.operation !== "PUT" ? undefined : entry;
      if (there !== undefined && there.json<Document>().epoch > document.epoch) return fail(STALE);
      const bytes = encodeJson(document);
      if (entry === null) await this.#kv.create(name, bytes);
      else await this.#kv.update(name, bytes, entry.revision);
      return ok(undefined);
    } catch (error) {
      return fail(isConflict(error) ? STALE : storageFault(error, `writing ${FORECAST_BUCKET}`));
    }
  }
}

const STALE = fault("LEASE_LOST", "another forecaster has taken over");
