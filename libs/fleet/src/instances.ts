/**
 * A driver over anything that starts and ends single instances. It owns the counts: how many were
 * asked for, which instances exist, and which leave first.
 *
 * I6  a pool has at most `POOL_MEMBERS_MAX` members; starts are asked for one after another
 */

import { randomUUID } from "node:crypto";
import { assert, fail, ok } from "@millrace/std";
import {
  checkPools,
  checkScale,
  countPools,
  type DriverView,
  type FleetDriver,
  fleetFault,
  type FleetMember,
  type FleetResult,
  type Pool,
  poolKey,
} from "./driver.ts";

/** Where instances run. It keeps no counts. */
export interface InstanceHost {
  readonly name: string;
  /** Who is there now, those included that a process before this one started. */
  list(): Promise<FleetResult<readonly FleetMember[]>>;
  /** Asks for an instance with this id; it may be listed later. */
  start(id: string, pool: Pool): Promise<FleetResult<void>>;
  /** Begins the drain of one that runs, or removes what is left of one that is gone. */
  end(id: string): Promise<FleetResult<void>>;
  close(): Promise<void>;
}

export interface InstanceOptions {
  readonly host: InstanceHost;
  readonly pools: readonly Pool[];
  /** Microseconds that never go back. */
  readonly nowUs: () => number;
  /** An instance that was asked for and is not listed after this long was never started. */
  readonly appearUsMax?: number;
}

const APPEAR_US_MAX = 60_000_000;

export class InstanceFleet implements FleetDriver {
  readonly name: string;
  readonly pools: readonly Pool[];
  readonly #host: InstanceHost;
  readonly #nowUs: () => number;
  readonly #appearUsMax: number;
  /** By pool. One that nobody told yet has as many as were found running. */
  readonly #expected = new Map<string, number>();
  /** Asked for and not listed yet, by id. */
  readonly #asked = new Map<string, { readonly pool: Pool; readonly atUs: number }>();
  /** Calls are taken one after another: two at once would both start what is missing. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor({ host, pools, nowUs, appearUsMax = APPEAR_US_MAX }: InstanceOptions) {
    const problems = checkPools(pools);
    assert(problems.length === 0, problems.join("; "));
    this.name = host.name;
    this.pools = pools;
    this.#host = host;
    this.#nowUs = nowUs;
    this.#appearUsMax = appearUsMax;
  }

  list(): Promise<FleetResult<DriverView>> {
    return this.#inTurn(async () => {
      const members = await this.#members();
      if (!members.ok) return members;
      const pools = countPools(this.pools, members.value, (pool) =>
        this.#expectedOf(pool, members.value),
      );
      return ok({ members: members.value, pools });
    });
  }

  async scale(
    pool: Pool,
    count: number,
    retire: readonly string[] = [],
  ): Promise<FleetResult<void>> {
    const checked = checkScale(this.pools, pool, count);
    if (!checked.ok) return checked;
    return this.#inTurn(async () => {
      const members = await this.#members();
      if (!members.ok) return members;
      this.#expected.set(poolKey(pool), count);
      const own = members.value.filter((member) => poolKey(member) === poolKey(pool));
      const live = own.filter(isLive);
      for (const { id } of own.filter(({ state }) => state === "gone")) await this.#host.end(id);
      for (const id of leaving(live, live.length - count, retire)) {
        const ended = await this.#host.end(id);
        if (!ended.ok) return ended;
        this.#asked.delete(id);
      }
      for (let missing = count - live.length; missing > 0; missing--) {
        const started = await this.#start(pool);
        if (!started.ok) return started;
      }
      return ok(undefined);
    });
  }

  replace(id: string): Promise<FleetResult<void>> {
    return this.#inTurn(async () => {
      const members = await this.#members();
      if (!members.ok) return members;
      const member = members.value.find((one) => one.id === id);
      if (member === undefined) return fail(noSuchMember(this.name, id));
      // Pinned first: a count that was only found would shrink with the member.
      this.#expected.set(poolKey(member), this.#expectedOf(member, members.value));
      const ended = await this.#host.end(id);
      if (!ended.ok) return ended;
      this.#asked.delete(id);
      return isLive(member) ? this.#start(member) : ok(undefined);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn.catch(() => undefined);
    await this.#host.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #start({ kind, zone, lifecycle }: Pool): Promise<FleetResult<void>> {
    const pool = { kind, zone, lifecycle };
    const id = `${kind}-${zone}-${lifecycle}-${randomUUID().slice(0, 8)}`;
    const started = await this.#host.start(id, pool);
    if (started.ok) this.#asked.set(id, { pool, atUs: this.#nowUs() });
    return started;
  }

  /** Those that are listed, and those that were asked for and are not listed yet. */
  async #members(): Promise<FleetResult<readonly FleetMember[]>> {
    const listed = await this.#host.list();
    if (!listed.ok) return listed;
    const ids = new Set(listed.value.map(({ id }) => id));
    const nowUs = this.#nowUs();
    const coming: FleetMember[] = [];
    for (const [id, { pool, atUs }] of this.#asked) {
      if (ids.has(id) || nowUs - atUs > this.#appearUsMax) this.#asked.delete(id);
      else coming.push({ id, ...pool, state: "starting", detail: "asked for" });
    }
    return ok([...listed.value, ...coming]);
  }

  #expectedOf(pool: Pool, members: readonly FleetMember[]): number {
    const key = poolKey(pool);
    const told = this.#expected.get(key);
    return told ?? members.filter((one) => isLive(one) && poolKey(one) === key).length;
  }

  #inTurn<T>(call: () => Promise<FleetResult<T>>): Promise<FleetResult<T>> {
    const mine = this.#turn.then(() => (this.#closed ? fail(closed(this.name)) : call()));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

const isLive = ({ state }: FleetMember): boolean => state === "starting" || state === "ready";

/** The members that go: the named, then those not ready yet, then the latest. */
function leaving(
  live: readonly FleetMember[],
  count: number,
  retire: readonly string[],
): readonly string[] {
  if (count <= 0) return [];
  const named = new Set(retire);
  const rank = ({ id, state }: FleetMember): number =>
    named.has(id) ? 0 : state === "starting" ? 1 : 2;
  return live
    .map((member, at) => ({ id: member.id, at, rank: rank(member) }))
    .toSorted((a, b) => a.rank - b.rank || b.at - a.at)
    .slice(0, count)
    .map(({ id }) => id);
}

export const closed = (driver: string) => fleetFault("CLOSED", `the ${driver} driver is closed`);

export const noSuchMember = (driver: string, id: string) =>
  fleetFault("NO_SUCH_MEMBER", `the ${driver} driver has no member ${id}`);
