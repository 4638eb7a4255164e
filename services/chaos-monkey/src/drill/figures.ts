/**
 * What a drill asks the members for besides their heartbeats: the memory of their processes, and
 * how many tickets the ingresses have sent.
 */

import type { Bus } from "@millrace/bus";
import type { Attempts, MemberMemory } from "@millrace/drills";
import { decodeJson } from "@millrace/protocol";
import * as v from "valibot";
import type { MonkeyLink } from "./monkey-link.ts";

const MEMORY_MS = 5_000;
const REPLIES_MS = 500;

const count = v.optional(v.number(), 0);
const statsSchema = v.object({
  metadata: v.object({ id: v.string() }),
  endpoints: v.array(
    v.object({
      num_requests: count,
      data: v.optional(
        v.object({ retries: count, hedges: count, resends: count, overBudget: count }),
      ),
    }),
  ),
});

interface Seen extends MemberMemory {
  readonly pid: number;
}

/** Reads the memory of the members every few seconds; a process that is new begins anew. */
export class MemoryWatch implements Disposable {
  readonly #monkey: MonkeyLink;
  readonly #nowUs: () => number;
  readonly #seen = new Map<string, Seen>();
  readonly #timer: NodeJS.Timeout;

  constructor(monkey: MonkeyLink, nowUs: () => number) {
    this.#monkey = monkey;
    this.#nowUs = nowUs;
    this.#timer = setInterval(() => void this.look(), MEMORY_MS);
  }

  /** Looks now, besides. */
  async look(): Promise<void> {
    const listed = await this.#monkey.list();
    if (!listed.ok) return;
    for (const { id, memory } of listed.value.members ?? []) {
      if (memory === undefined) continue;
      const { pid, residentBytes } = memory;
      const toUs = this.#nowUs();
      const before = this.#seen.get(id);
      const first = { fromUs: toUs, firstBytes: residentBytes, mostBytes: residentBytes };
      const kept = before?.pid === pid ? before : first;
      const { fromUs, firstBytes } = kept;
      const mostBytes = Math.max(kept.mostBytes, residentBytes);
      const lastBytes = residentBytes;
      this.#seen.set(id, { id, pid, fromUs, toUs, firstBytes, lastBytes, mostBytes });
    }
  }

  get members(): readonly MemberMemory[] {
    return [...this.#seen.values()].map(({ pid: _pid, ...memory }) => memory);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** What each ingress has counted since its own start. */
export async function readAttempts(bus: Bus): Promise<ReadonlyMap<string, Attempts>> {
  const attempts = new Map<string, Attempts>();
  const options = { strategy: "timer", maxWait: REPLIES_MS } as const;
  try {
    const replies = await bus.connection.requestMany("$SRV.STATS.ingress", "", options);
    for await (const { data } of replies) {
      const read = decodeJson(statsSchema, data);
      const endpoint = read.ok ? read.value.endpoints[0] : undefined;
      if (!read.ok || endpoint === undefined) continue;
      const { retries = 0, hedges = 0, resends = 0, overBudget: denied = 0 } = endpoint.data ?? {};
      const repeated = retries + hedges + resends;
      attempts.set(read.value.metadata.id, { requests: endpoint.num_requests, repeated, denied });
    }
  } catch {
    // The broker may be under a fault: then nobody says.
  }
  return attempts;
}

/** Of all ingresses since then; one that was started again meanwhile counts from its start. */
export function attemptsSince(
  before: ReadonlyMap<string, Attempts>,
  after: ReadonlyMap<string, Attempts>,
): Attempts | undefined {
  if (after.size === 0) return undefined;
  let requests = 0;
  let repeated = 0;
  let denied = 0;
  for (const [id, now] of after) {
    const then = before.get(id);
    const isSame = then !== undefined && then.requests <= now.requests;
    requests += now.requests - (isSame ? then.requests : 0);
    repeated += now.repeated - (isSame ? then.repeated : 0);
    denied += now.denied - (isSame ? then.denied : 0);
  }
  return { requests, repeated, denied };
}
