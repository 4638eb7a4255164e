/** A fleet without machines, which does what it is told to, failing and lying included. */

import { fail, ok } from "@millrace/std";
import {
  type FleetFault,
  fleetFault,
  type FleetMember,
  type FleetResult,
  type Pool,
} from "./driver.ts";
import type { InstanceHost } from "./instances.ts";

export class FakeHost implements InstanceHost {
  readonly name = "fake";
  /** Instances asked for since the start: what a second request would raise. */
  starts = 0;
  /** Every call fails with it while it is set. */
  fault: FleetFault | undefined;
  /** What the list says in place of the truth, once it is set. */
  lie: ((members: readonly FleetMember[]) => readonly FleetMember[]) | undefined;
  /** New instances are ready at once, or stay `starting`. */
  readyAtOnce = true;
  readonly #members = new Map<string, FleetMember>();

  async list(): Promise<FleetResult<readonly FleetMember[]>> {
    if (this.fault !== undefined) return fail(this.fault);
    const members = [...this.#members.values()];
    return ok(this.lie?.(members) ?? members);
  }

  async start(id: string, pool: Pool): Promise<FleetResult<void>> {
    if (this.fault !== undefined) return fail(this.fault);
    this.starts++;
    this.#members.set(id, { id, ...pool, state: this.readyAtOnce ? "ready" : "starting" });
    return ok(undefined);
  }

  async end(id: string): Promise<FleetResult<void>> {
    if (this.fault !== undefined) return fail(this.fault);
    this.#members.delete(id);
    return ok(undefined);
  }

  async close(): Promise<void> {}

  /** It ends behind the driver's back. */
  lose(id: string): void {
    this.#members.delete(id);
  }

  /** It becomes this, as the world would have it. */
  become(id: string, state: FleetMember["state"], detail?: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.set(id, { ...member, state, ...(detail === undefined ? {} : { detail }) });
  }

  cut(): void {
    this.fault = fleetFault("UNREACHABLE", "the connection is cut");
  }

  heal(): void {
    this.fault = undefined;
  }
}
