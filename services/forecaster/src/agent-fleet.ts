/**
 * A fleet whose workers another process starts and ends: counts go to it over NATS, and its view
 * comes back. The commands carry the epoch of the forecaster's lease, and an agent that has heard
 * of a later one refuses: a forecaster that was frozen cannot undo what its successor did.
 */

import type { NatsConnection } from "@nats-io/transport-node";
import {
  checkScale,
  type DriverView,
  type FleetDriver,
  fleetFault,
  type FleetResult,
  type Pool,
} from "@millrace/fleet";
import { decodeJson, encodeJson, fleetReplySchema, subjects } from "@millrace/protocol";
import { fail, ok } from "@millrace/std";

export interface AgentFleetOptions {
  readonly connection: NatsConnection;
  readonly agent: string;
  readonly pools: readonly Pool[];
  /** Undefined while the lease is not held: nothing is asked then. */
  readonly epoch: () => number | undefined;
}

const CALL_MS_MAX = 2_000;

export class AgentFleet implements FleetDriver {
  readonly name = "agent";
  readonly pools: readonly Pool[];
  readonly #options: AgentFleetOptions;
  #closed = false;

  constructor(options: AgentFleetOptions) {
    this.#options = options;
    this.pools = options.pools;
  }

  async list(): Promise<FleetResult<DriverView>> {
    const view = await this.#ask({ operation: "list" });
    if (!view.ok) return view;
    if (view.value !== undefined) return ok(view.value);
    return fail(fleetFault("MALFORMED", "the agent gave no list"));
  }

  async scale(
    pool: Pool,
    count: number,
    retire: readonly string[] = [],
  ): Promise<FleetResult<void>> {
    const checked = checkScale(this.pools, pool, count);
    if (!checked.ok) return checked;
    const { kind, zone, lifecycle } = pool;
    const asked = await this.#ask({
      operation: "scale",
      pool: { kind, zone, lifecycle },
      count,
      retire,
    });
    return asked.ok ? ok(undefined) : asked;
  }

  async replace(id: string): Promise<FleetResult<void>> {
    const asked = await this.#ask({ operation: "replace", id });
    return asked.ok ? ok(undefined) : asked;
  }

  /** What runs belongs to the agent, and stays. */
  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask(request: object): Promise<FleetResult<DriverView | undefined>> {
    if (this.#closed) return fail(fleetFault("CLOSED", "the driver is closed"));
    const { agent, connection, epoch } = this.#options;
    const held = epoch();
    if (held === undefined) return fail(fleetFault("UNREACHABLE", "the lease is not held"));
    let bytes: Uint8Array;
    try {
      const subject = subjects.fleet(agent);
      const body = encodeJson({ v: 1, epoch: held, ...request });
      bytes = (await connection.request(subject, body, { timeout: CALL_MS_MAX })).data;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return fail(fleetFault("UNREACHABLE", `the agent ${agent} did not answer: ${reason}`));
    }
    const reply = decodeJson(fleetReplySchema, bytes);
    if (!reply.ok) return fail(fleetFault("MALFORMED", reply.error.message));
    if (!reply.value.ok) return fail(reply.value.error);
    return ok(reply.value.view);
  }
}
