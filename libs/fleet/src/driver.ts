/**
 * The port of a fleet: what runs, and how many should. Local processes, Docker, Kubernetes and a
 * user's own command are behind it, and one conformance suite holds all of them to it.
 *
 * A driver is told counts, never "one more": asking twice for the same count is asking once, so a
 * caller that lost an answer asks again. It keeps what it was told where it outlives the driver
 * (the replicas of a Deployment), or finds it again in what really runs.
 */

import { isName, NAME_RULE, fail, ok, type Result } from "@millrace/std";
import type { Lifecycle } from "@millrace/protocol";

/** Workers that are alike to whoever plans: the unit of scaling. */
export interface Pool {
  /** What the price book calls the machine. */
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
}

/** `draining`: told to end. `gone`: ended, and does not come back by itself. */
export const MEMBER_STATES = ["starting", "ready", "draining", "gone"] as const;
export type MemberState = (typeof MEMBER_STATES)[number];

export interface FleetMember extends Pool {
  /** The worker's `MILLRACE_ID`, by which heartbeats name it. */
  readonly id: string;
  readonly state: MemberState;
  /** Why it does not start, or how it ended. */
  readonly detail?: string;
}

export interface PoolCount extends Pool {
  /** What the driver was told, or found to be so. */
  readonly expected: number;
  readonly ready: number;
}

export interface DriverView {
  readonly members: readonly FleetMember[];
  /** Every pool that the driver has, in its own order. */
  readonly pools: readonly PoolCount[];
}

/** Closed; `retry` of a fault says whether the same call may succeed later. */
export const FLEET_CODES = [
  "BAD_COUNT",
  "NO_SUCH_POOL",
  "NO_SUCH_MEMBER",
  "UNREACHABLE",
  "TIMED_OUT",
  "REFUSED",
  "MALFORMED",
  "CLOSED",
] as const;
export type FleetCode = (typeof FLEET_CODES)[number];

export interface FleetFault {
  readonly code: FleetCode;
  readonly message: string;
  readonly retry: boolean;
}

export type FleetResult<T> = Result<T, FleetFault>;

export interface FleetDriver extends AsyncDisposable {
  /** `processes`, `docker`, `kubernetes`, `command`: for logs and tables. */
  readonly name: string;
  readonly pools: readonly Pool[];
  list(): Promise<FleetResult<DriverView>>;
  /**
   * Makes the pool's expected count this one. Returns once it was asked for, not once it is so.
   * Where members leave, those in `retire` leave first, then those that are not ready yet.
   */
  scale(pool: Pool, count: number, retire?: readonly string[]): Promise<FleetResult<void>>;
  /** Ends one member; the expected count stays, so that another comes. */
  replace(id: string): Promise<FleetResult<void>>;
  /** Ends what cannot outlive the driver. Later calls fail as `CLOSED`. */
  close(): Promise<void>;
}

export const POOLS_MAX = 1_000;
export const POOL_MEMBERS_MAX = 10_000;
/** Kind, zone, lifecycle and a suffix are a member's id, which is a name. */
export const POOL_NAME_CHARACTERS_MAX = 40;

const RETRIED: ReadonlySet<FleetCode> = new Set(["UNREACHABLE", "TIMED_OUT", "MALFORMED"]);

export const fleetFault = (
  code: FleetCode,
  message: string,
  retry: boolean = RETRIED.has(code),
): FleetFault => ({ code, message, retry });

export const poolKey = ({ kind, zone, lifecycle }: Pool): string => `${kind}/${zone}/${lifecycle}`;

/** What is asked of a driver before anything is changed. */
export function checkScale(pools: readonly Pool[], pool: Pool, count: number): FleetResult<void> {
  const key = poolKey(pool);
  if (!pools.some((known) => poolKey(known) === key)) {
    const known = pools.map(poolKey).join(", ");
    return fail(fleetFault("NO_SUCH_POOL", `there is no pool ${key}: expected one of ${known}`));
  }
  if (!Number.isSafeInteger(count) || count < 0 || count > POOL_MEMBERS_MAX) {
    const expected = `a whole number from 0 to ${POOL_MEMBERS_MAX}`; // I6
    return fail(
      fleetFault("BAD_COUNT", `${key} cannot have ${count} members: expected ${expected}`),
    );
  }
  return ok(undefined);
}

/** Every sentence is a problem of a driver's pools; none means that they can be used. */
export function checkPools(pools: readonly Pool[]): string[] {
  const problems: string[] = [];
  if (pools.length === 0 || pools.length > POOLS_MAX) {
    problems.push(`${pools.length} pools: expected 1 to ${POOLS_MAX}`);
  }
  const seen = new Set<string>();
  for (const pool of pools) {
    const key = poolKey(pool);
    if (seen.has(key)) problems.push(`${key} is listed twice: expected each pool once`);
    seen.add(key);
    for (const part of [pool.kind, pool.zone]) {
      if (!isName(part)) problems.push(`${JSON.stringify(part)} of ${key}: expected ${NAME_RULE}`);
    }
    const characters = pool.kind.length + pool.zone.length;
    if (characters > POOL_NAME_CHARACTERS_MAX) {
      const expected = `at most ${POOL_NAME_CHARACTERS_MAX} for kind and zone together`;
      problems.push(`${key}: ${characters} characters, expected ${expected}`);
    }
  }
  return problems;
}

/** The counts of pools, from what was told and who is there. */
export const countPools = (
  pools: readonly Pool[],
  members: readonly FleetMember[],
  expectedOf: (pool: Pool) => number,
): readonly PoolCount[] =>
  pools.map(({ kind, zone, lifecycle }) => {
    const pool = { kind, zone, lifecycle };
    const key = poolKey(pool);
    const ready = members.filter((one) => one.state === "ready" && poolKey(one) === key).length;
    return { ...pool, expected: expectedOf(pool), ready };
  });
