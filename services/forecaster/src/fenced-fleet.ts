/**
 * A driver that changes nothing while the lease is not held. A driver may take half a minute for a
 * call, and a turn of the keeper makes one for each pool: the lease is asked for before every one,
 * or who lost it meanwhile would undo what its successor does.
 */

import {
  type DriverView,
  type FleetDriver,
  fleetFault,
  type FleetResult,
  type Pool,
} from "@millrace/fleet";
import { fail } from "@millrace/std";

export class FencedFleet implements FleetDriver {
  readonly #driver: FleetDriver;
  readonly #epoch: () => number | undefined;

  /** @param epoch undefined while the lease is not held. */
  constructor(driver: FleetDriver, epoch: () => number | undefined) {
    this.#driver = driver;
    this.#epoch = epoch;
  }

  get name(): string {
    return this.#driver.name;
  }

  get pools(): readonly Pool[] {
    return this.#driver.pools;
  }

  list(): Promise<FleetResult<DriverView>> {
    return this.#driver.list();
  }

  async scale(pool: Pool, count: number, retire?: readonly string[]): Promise<FleetResult<void>> {
    return this.#epoch() === undefined ? NOT_HELD : this.#driver.scale(pool, count, retire);
  }

  async replace(id: string): Promise<FleetResult<void>> {
    return this.#epoch() === undefined ? NOT_HELD : this.#driver.replace(id);
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#driver[Symbol.asyncDispose]();
  }
}

const NOT_HELD = fail(fleetFault("UNREACHABLE", "the lease is not held"));
