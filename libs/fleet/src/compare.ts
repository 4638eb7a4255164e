/**
 * What a driver says against what is heard: a pure function of both views. A driver that lies about
 * what runs is caught here, because capacity is what speaks and not what is listed.
 */

import type { Lifecycle } from "@millrace/protocol";
import { type FleetMember, type Pool, poolKey } from "./driver.ts";

/** A worker as its heartbeats show it. */
export interface HeardWorker {
  readonly id: string;
  readonly kind?: string | undefined;
  readonly zone?: string | undefined;
  readonly lifecycle?: Lifecycle | undefined;
  /** When its latest heartbeat came, on the clock of `nowUs`. */
  readonly heardAtUs: number;
}

/** A member as the driver lists it, since when in this state. */
export interface ListedMember extends FleetMember {
  readonly sinceUs: number;
  /** When it was last heard, on the clock of `nowUs`; absent of one that has not spoken yet. */
  readonly heardAtUs?: number;
}

export interface CompareLimits {
  /**
   * A member that is `ready` for the driver speaks within this time: its process runs, and opens a
   * device that takes seconds, or tens of them on a machine with much to do.
   */
  readonly firstWordUsMax: number;
  /** One that spoke is not silent for so long. */
  readonly speakUsMax: number;
  /** A member is `starting` for no longer than this. */
  readonly startUsMax: number;
  /** A heartbeat that is older says nothing about now. */
  readonly silentUsMax: number;
}

export const COMPARE_LIMITS: CompareLimits = {
  firstWordUsMax: 60_000_000,
  speakUsMax: 10_000_000,
  startUsMax: 600_000_000,
  silentUsMax: 2_000_000,
};

/**
 * - `silent`: listed as ready, and nothing is heard of it
 * - `late`: it does not become ready
 * - `unlisted`: it speaks, and the driver does not list it
 * - `undead`: the driver says that it is gone, and it speaks
 * - `mislabelled`: kind, zone or lifecycle differ
 * - `twice`: one id is listed more than once
 */
export type Difference =
  | {
      readonly type: "silent" | "late" | "undead" | "twice";
      readonly id: string;
      readonly pool: Pool;
    }
  | { readonly type: "unlisted"; readonly id: string }
  | {
      readonly type: "mislabelled";
      readonly id: string;
      readonly pool: Pool;
      readonly field: keyof Pool;
      readonly listed: string;
      readonly heard: string;
    };

/** What to do about it. The rest is for people: a machine too many is not ended on suspicion. */
export interface Replacement {
  readonly id: string;
  readonly pool: Pool;
  readonly reason: "silent" | "late";
}

export interface Comparison {
  readonly differences: readonly Difference[];
  readonly actions: readonly Replacement[];
  /** Members that both the driver and their heartbeats know as ready, by pool. */
  readonly confirmed: ReadonlyMap<string, number>;
  /** More than half of what should speak does not: the driver's view is not to be planned with. */
  readonly disputed: boolean;
}

export interface CompareInput {
  readonly listed: readonly ListedMember[];
  readonly heard: readonly HeardWorker[];
  readonly nowUs: number;
  readonly limits?: Partial<CompareLimits>;
}

const FIELDS = ["kind", "zone", "lifecycle"] as const;
/** A broken driver or a broken ear: replacing the whole fleet helps neither. */
const DISPUTED_MIN = 2;

/** Pure; differences are in the order of the list, then of the heartbeats. */
export function compareFleet(input: CompareInput): Comparison {
  const limits = { ...COMPARE_LIMITS, ...input.limits };
  const { listed, nowUs } = input;
  const heard = new Map(
    input.heard
      .filter(({ heardAtUs }) => nowUs - heardAtUs <= limits.silentUsMax)
      .map((worker) => [worker.id, worker]),
  );
  const differences: Difference[] = [];
  const confirmed = new Map<string, number>();
  const seen = new Set<string>();
  let due = 0;
  for (const member of listed) {
    const { id, sinceUs, state, kind, zone, lifecycle } = member;
    const pool = { kind, zone, lifecycle };
    if (seen.has(id)) {
      differences.push({ type: "twice", id, pool });
      continue;
    }
    seen.add(id);
    const worker = heard.get(id);
    const isSilent = state === "ready" && worker === undefined && isOverdue(member, nowUs, limits);
    if (state === "ready" && (worker !== undefined || isSilent)) due++;
    if (worker === undefined) {
      if (isSilent) {
        differences.push({ type: "silent", id, pool });
      } else if (state === "starting" && nowUs - sinceUs > limits.startUsMax) {
        differences.push({ type: "late", id, pool });
      }
      continue;
    }
    if (state === "gone") differences.push({ type: "undead", id, pool });
    if (state === "ready") confirmed.set(poolKey(pool), (confirmed.get(poolKey(pool)) ?? 0) + 1);
    differences.push(...mislabelled(member, worker));
  }
  for (const { id } of heard.values())
    if (!seen.has(id)) differences.push({ type: "unlisted", id });
  const silent = differences.filter(({ type }) => type === "silent").length;
  const disputed = silent >= DISPUTED_MIN && silent * 2 > due;
  return { differences, actions: replacements(differences, disputed), confirmed, disputed };
}

function isOverdue(
  { heardAtUs, sinceUs }: ListedMember,
  nowUs: number,
  { firstWordUsMax, speakUsMax }: CompareLimits,
): boolean {
  if (heardAtUs === undefined) return nowUs - sinceUs > firstWordUsMax;
  return nowUs - Math.max(sinceUs, heardAtUs) > speakUsMax;
}

const replacements = (
  differences: readonly Difference[],
  disputed: boolean,
): readonly Replacement[] =>
  differences.flatMap((difference) => {
    if (difference.type !== "silent" && difference.type !== "late") return [];
    if (disputed && difference.type === "silent") return [];
    return [{ id: difference.id, pool: difference.pool, reason: difference.type }];
  });

/** What the worker does not say of itself is not compared. */
function mislabelled(member: ListedMember, worker: HeardWorker): Difference[] {
  const { id, kind, zone, lifecycle } = member;
  return FIELDS.flatMap((field) => {
    const heard = worker[field];
    if (heard === undefined || heard === member[field]) return [];
    const pool = { kind, zone, lifecycle };
    return [{ type: "mislabelled", id, pool, field, listed: member[field], heard } as const];
  });
}
