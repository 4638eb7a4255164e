/** Who a fault hits, and whether it may: decided before anything is touched. */

import {
  type Blast,
  type Fault,
  fault,
  faultEntry,
  type FaultRecord,
  type FaultSpec,
  WORKER_ROLES,
} from "@millrace/protocol";
import { fail, ok, type Result, seededRandom } from "@millrace/std";
import { PROTECTED_ROLES } from "./ground.ts";
import type { FaultMember } from "./types.ts";

export interface Choice {
  readonly members: readonly FaultMember[];
  /** Under way: what they hit counts with what is hit now. */
  readonly running: readonly Pick<FaultRecord, "targets">[];
  readonly blast: Blast;
  readonly seed: number;
}

const isWorker = (role: string): boolean => (WORKER_ROLES as readonly string[]).includes(role);
const isOf = (member: FaultMember, role: string): boolean =>
  member.role === role || (role === "worker" && isWorker(member.role));

/**
 * The ids of those who are hit, in the members' order.
 * Faults: FAULT_NO_TARGET, FAULT_PROTECTED, FAULT_UNAVAILABLE, FAULT_BLAST_RADIUS.
 */
export function chooseTargets(
  spec: FaultSpec,
  choice: Choice,
): Result<readonly FaultMember[], Fault> {
  const { target, kind } = spec;
  const { members } = choice;
  const named = "id" in target ? `member ${target.id}` : `role ${target.role}`;
  const aimed = members.filter((member) =>
    "id" in target ? member.id === target.id : isOf(member, target.role),
  );
  const own =
    aimed.some(({ role }) => PROTECTED_ROLES.includes(role)) ||
    PROTECTED_ROLES.some((role) =>
      "role" in target ? target.role === role : `${target.id}-`.startsWith(`${role}-`),
    );
  if (own) return fail(fault("FAULT_PROTECTED", `${named} injects or heals faults`));
  if (aimed.length === 0) return fail(nobody(named, members));
  const { roles, shared } = faultEntry(kind);
  const wrong = aimed.find(
    ({ role }) => roles?.some((one) => isOf({ id: "", role }, one)) === false,
  );
  if (wrong !== undefined) {
    const expected = roles?.join(", ") ?? "";
    const message = `${kind} cannot hit ${wrong.id}, a ${wrong.role}: expected ${expected}`;
    return fail(fault("FAULT_UNAVAILABLE", message));
  }
  const alive = aimed.filter(({ pid, container }) => (pid ?? container) !== undefined);
  if (alive.length === 0) {
    return fail(fault("FAULT_NO_TARGET", `${named} does not run at the moment`));
  }
  const chosen = "count" in target ? draw(alive, target.count, choice.seed) : alive;
  if (chosen === undefined) {
    const message = `${named} has ${alive.length} that run, fewer than were asked for`;
    return fail(fault("FAULT_NO_TARGET", message));
  }
  const hit = shared === true ? mates(chosen, members) : chosen;
  const beyond = beyondBlast(hit, choice);
  return beyond === undefined ? ok(hit) : fail(fault("FAULT_BLAST_RADIUS", beyond));
}

function nobody(named: string, members: readonly FaultMember[]): Fault {
  const ours = members
    .filter(({ role }) => !PROTECTED_ROLES.includes(role))
    .map(({ id }) => id)
    .join(", ");
  return fault("FAULT_NO_TARGET", `${named} is not ours; ours are ${ours === "" ? "none" : ours}`);
}

/** All that run of the roles of those who were chosen. */
const mates = (
  chosen: readonly FaultMember[],
  members: readonly FaultMember[],
): readonly FaultMember[] =>
  members.filter(
    ({ role, pid, container }) =>
      (pid ?? container) !== undefined && chosen.some((one) => one.role === role),
  );

/** So many of them, decided by the seed alone; undefined where there are fewer. */
function draw(
  from: readonly FaultMember[],
  count: number,
  seed: number,
): readonly FaultMember[] | undefined {
  if (count > from.length) return undefined;
  const random = seededRandom(seed);
  const left = [...from];
  while (left.length > count) left.splice(random.below(left.length), 1);
  return left;
}

/** Why it would be too much, or undefined. */
function beyondBlast(
  chosen: readonly FaultMember[],
  { members, running, blast }: Choice,
): string | undefined {
  const hit = new Set([
    ...running.flatMap(({ targets }) => targets),
    ...chosen.map(({ id }) => id),
  ]);
  if (hit.size > blast.targetsMax) {
    return `${hit.size} members would be hit at once, at most ${blast.targetsMax} may be`;
  }
  for (const role of new Set(chosen.map((member) => member.role))) {
    const all = members.filter((member) => member.role === role);
    const whole = all.filter(({ id }) => !hit.has(id)).length;
    const share = (all.length - whole) / all.length;
    if (share > blast.fractionMax) {
      const hits = `${all.length - whole} of ${all.length} of ${role}`;
      return `${hits} would be hit, at most ${blast.fractionMax} of them may be`;
    }
    if (whole < blast.healthyMin) {
      return `${whole} of ${role} would be left whole, at least ${blast.healthyMin} must be`;
    }
  }
  return undefined;
}
