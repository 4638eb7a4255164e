/**
 * A fleet behind a command of the user's: one run per call, a JSON document on its input, one on
 * its output. docs/fleet.md describes the documents; the schemas here are what they must be.
 */

import * as v from "valibot";
import { assert, fail, isName, ok } from "@millrace/std";
import { LIFECYCLES } from "@millrace/protocol";
import {
  checkPools,
  checkScale,
  countPools,
  type DriverView,
  type FleetDriver,
  fleetFault,
  type FleetResult,
  MEMBER_STATES,
  type Pool,
  POOL_MEMBERS_MAX,
  poolKey,
  POOLS_MAX,
} from "./driver.ts";
import { closed } from "./instances.ts";
import { runCommand } from "./run-command.ts";

export interface HookOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly pools: readonly Pool[];
  readonly timeoutMs?: number;
  /** Of the command; this process's own where absent. */
  readonly env?: NodeJS.ProcessEnv;
  /** Of the caller's lease; told with every call that changes something. */
  readonly epoch?: () => number | undefined;
}

/** What the command reads; what changes something also has the `epoch` of the caller's lease. */
export type HookRequest =
  | { readonly v: 1; readonly operation: "list" }
  | {
      readonly v: 1;
      readonly operation: "scale";
      readonly pool: Pool;
      readonly count: number;
      readonly retire: readonly string[];
      readonly epoch?: number;
    }
  | {
      readonly v: 1;
      readonly operation: "replace";
      readonly id: string;
      readonly epoch?: number;
    };

const name = v.pipe(v.string(), v.check(isName));
const poolEntries = { kind: name, zone: name, lifecycle: v.picklist(LIFECYCLES) };
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(POOL_MEMBERS_MAX));

/** An answer that says no: shown to people, and tried again where `retry` is true. */
const refusalSchema = v.object({
  v: v.literal(1),
  error: v.object({ message: v.string(), retry: v.optional(v.boolean(), false) }),
});
const doneSchema = v.object({ v: v.literal(1), ok: v.literal(true) });
const listSchema = v.object({
  v: v.literal(1),
  members: v.pipe(
    v.array(
      v.object({
        ...poolEntries,
        id: name,
        state: v.picklist(MEMBER_STATES),
        detail: v.exactOptional(v.string()),
      }),
    ),
    v.maxLength(POOL_MEMBERS_MAX),
  ),
  pools: v.pipe(v.array(v.object({ ...poolEntries, expected: count })), v.maxLength(POOLS_MAX)),
});

const TIMEOUT_MS = 20_000;
const SHOWN_CHARACTERS = 200;

export class HookFleet implements FleetDriver {
  readonly name = "command";
  readonly pools: readonly Pool[];
  readonly #options: HookOptions;
  /** One run at a time: a user's script need not be safe against itself. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: HookOptions) {
    const problems = checkPools(options.pools);
    assert(problems.length === 0, problems.join("; "));
    this.#options = options;
    this.pools = options.pools;
  }

  async list(): Promise<FleetResult<DriverView>> {
    const answer = await this.#ask({ v: 1, operation: "list" }, listSchema);
    if (!answer.ok) return answer;
    const { members, pools } = answer.value;
    const expected = new Map(pools.map((pool) => [poolKey(pool), pool.expected]));
    const silent = this.pools.find((pool) => !expected.has(poolKey(pool)));
    if (silent !== undefined) {
      const said = `the list has no expected count for the pool ${poolKey(silent)}`;
      return fail(fleetFault("MALFORMED", `${this.#options.command}: ${said}`));
    }
    const expectedOf = (pool: Pool): number => expected.get(poolKey(pool)) ?? 0;
    return ok({ members, pools: countPools(this.pools, members, expectedOf) });
  }

  async scale(
    pool: Pool,
    wanted: number,
    retire: readonly string[] = [],
  ): Promise<FleetResult<void>> {
    const checked = checkScale(this.pools, pool, wanted);
    if (!checked.ok) return checked;
    const { kind, zone, lifecycle } = pool;
    const named = { kind, zone, lifecycle };
    const request = { v: 1, operation: "scale", pool: named, count: wanted, retire } as const;
    const answer = await this.#ask(request, doneSchema);
    return answer.ok ? ok(undefined) : answer;
  }

  async replace(id: string): Promise<FleetResult<void>> {
    const view = await this.list();
    if (!view.ok) return view;
    if (!view.value.members.some((member) => member.id === id)) {
      return fail(fleetFault("NO_SUCH_MEMBER", `the command lists no member ${id}`));
    }
    const answer = await this.#ask({ v: 1, operation: "replace", id }, doneSchema);
    return answer.ok ? ok(undefined) : answer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask<const S extends v.GenericSchema>(
    request: HookRequest,
    schema: S,
  ): Promise<FleetResult<v.InferOutput<S>>> {
    const mine = this.#turn.then(() => {
      if (this.#closed) return fail(closed(this.name));
      return this.#run(request, schema);
    });
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #run<const S extends v.GenericSchema>(
    request: HookRequest,
    schema: S,
  ): Promise<FleetResult<v.InferOutput<S>>> {
    const { command, args, env, timeoutMs = TIMEOUT_MS } = this.#options;
    // Asked for when its turn comes: a call may have waited for another one.
    const epoch = request.operation === "list" ? undefined : this.#options.epoch?.();
    const ran = await runCommand({
      command,
      args,
      input: `${JSON.stringify({ ...request, epoch })}\n`,
      timeoutMs,
      ...(env === undefined ? {} : { env }),
    });
    if (!ran.ok) return ran;
    const { code, stdout, stderr } = ran.value;
    const what = `${command} (${request.operation})`;
    if (code !== 0) {
      const said = stderr === "" ? "nothing on stderr" : stderr;
      return fail(fleetFault("REFUSED", `${what} ended with exit ${code}: ${said}`, true));
    }
    const parsed = parseJson(stdout);
    const refusal = v.safeParse(refusalSchema, parsed);
    if (refusal.success) {
      const { message, retry } = refusal.output.error;
      return fail(fleetFault("REFUSED", `${what}: ${message}`, retry));
    }
    const answer = v.safeParse(schema, parsed);
    if (answer.success) return ok(answer.output);
    const [issue] = answer.issues;
    const path = v.getDotPath(issue) ?? "the document";
    const shown = stdout.slice(0, SHOWN_CHARACTERS).trim();
    const said = `${path}: ${issue.message}; it wrote ${JSON.stringify(shown)}`;
    return fail(fleetFault("MALFORMED", `${what}: ${said}`));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
