/**
 * What a drill would do and when: the same function says it beforehand and is carried out, so a dry
 * run is the run without its effects. Targets are drawn from the members by the drill's seed.
 */

import {
  type Blast,
  faultEntry,
  type FaultKind,
  type FaultTarget,
  WORKER_ROLES,
} from "@millrace/protocol";
import { fail, ok, type Random, type Result, seededRandom } from "@millrace/std";
import type { Action, Drill } from "./drill.ts";
import { kindOf } from "./drill.ts";
import { type Problem, showSpan } from "./reading.ts";

export interface PlanMember {
  readonly id: string;
  readonly role: string;
}

export interface PlannedStep {
  /** Its place in the method. */
  readonly index: number;
  readonly name: string;
  /** Since the start of the load. */
  readonly atUs: number;
  /** Of the fault; 0 for a probe and for an action that has no fault. */
  readonly durationUs: number;
  readonly kind: FaultKind | undefined;
  /** Ids of members; empty for a probe, for a fault of the load, and before there is a cluster. */
  readonly targets: readonly string[];
}

export interface DrillPlan {
  readonly seed: number;
  /** Of the load. */
  readonly durationUs: number;
  readonly steps: readonly PlannedStep[];
  /** Names of what a shortened drill does not come to. */
  readonly omitted: readonly string[];
}

export interface PlanOptions {
  readonly seed: number;
  /** The load lasts so long in place of what the file says; what comes later is omitted. */
  readonly durationUs?: number;
  /** Absent: there is no cluster yet, and nobody is drawn. */
  readonly members?: readonly PlanMember[];
}

/** After the last fault, for what it hurt to be seen to recover under load. */
export const CALM_US_MIN = 2_000_000;

export const ROLES = ["ingress", "scheduler", ...WORKER_ROLES, "worker", "nats"] as const;

/** @returns the plan, or why nothing of it may be done, by place in the file. */
export function planDrill(
  drill: Drill,
  { seed, durationUs = drill.load.durationUs, members }: PlanOptions,
): Result<DrillPlan, readonly Problem[]> {
  const problems: Problem[] = [];
  const steps: PlannedStep[] = [];
  const omitted: string[] = [];
  let atUs = Math.min(drill.load.warmUpUs, durationUs);
  for (const [index, activity] of drill.method.entries()) {
    if (activity.type === "probe") {
      const { name } = activity;
      steps.push({ index, name, atUs, durationUs: 0, kind: undefined, targets: [] });
      continue;
    }
    atUs += activity.pauseBeforeUs;
    const lastsUs = activity.what.act === "abort" ? 0 : activity.what.fault.durationUs;
    if (atUs + lastsUs + CALM_US_MIN > durationUs) {
      omitted.push(activity.name);
    } else {
      const targets = drawTargets(activity, members, seededRandom(seed + index * 7919));
      if (typeof targets === "string") problems.push({ path: ["method", index], message: targets });
      steps.push({
        index,
        name: activity.name,
        atUs,
        durationUs: lastsUs,
        kind: kindOf(activity),
        targets: typeof targets === "string" ? [] : targets,
      });
    }
    atUs += (activity.background ? 0 : lastsUs) + activity.pauseAfterUs;
  }
  if (omitted.length > 0 && durationUs >= drill.load.durationUs) {
    const ends = `${showSpan(CALM_US_MIN)} before the load of ${showSpan(durationUs)} ends`;
    const message = `${omitted.join(", ")}: a fault has to be over ${ends}`;
    problems.push({ path: ["method"], message });
  }
  if (members !== undefined && problems.length === 0) {
    problems.push(...beyondBlast(steps, drill.blast, members));
  }
  return problems.length > 0 ? fail(problems) : ok({ seed, durationUs, steps, omitted });
}

/** Members of a role; `worker` is both kinds of them. */
export const ofRole = (members: readonly PlanMember[], role: string): readonly PlanMember[] =>
  members.filter((member) =>
    role === "worker"
      ? (WORKER_ROLES as readonly string[]).includes(member.role)
      : member.role === role,
  );

function drawTargets(
  { what }: Action,
  members: readonly PlanMember[] | undefined,
  random: Random,
): readonly string[] | string {
  if (what.act !== "inject") return [];
  const { kind, target } = what.fault;
  if ("role" in target) {
    const known: readonly string[] = ROLES;
    if (!known.includes(target.role)) {
      return `no role ${target.role}: expected ${known.join(", ")}`;
    }
    const refused = refusedRole(kind, target.role);
    if (refused !== undefined) return refused;
  }
  return members === undefined ? [] : drawFrom(kind, target, members, random);
}

function refusedRole(kind: FaultKind, role: string): string | undefined {
  const { roles } = faultEntry(kind);
  if (roles === undefined || roles.includes(role)) return undefined;
  const isWorkers = role === "worker" && WORKER_ROLES.every((one) => roles.includes(one));
  return isWorkers ? undefined : `${kind} is no fault of a ${role}: expected ${roles.join(", ")}`;
}

function drawFrom(
  kind: FaultKind,
  target: FaultTarget,
  members: readonly PlanMember[],
  random: Random,
): readonly string[] | string {
  if ("id" in target) {
    const member = members.find(({ id }) => id === target.id);
    const ids = members.map(({ id }) => id).join(", ");
    if (member === undefined) return `${target.id} is not of this cluster: it has ${ids}`;
    return refusedRole(kind, member.role) ?? [member.id];
  }
  const candidates = ofRole(members, target.role).map(({ id }) => id);
  if (candidates.length === 0) return `aimed at nothing: the cluster has no ${target.role}`;
  if (!("count" in target)) return candidates;
  if (target.count > candidates.length) {
    return `aimed at ${target.count} of role ${target.role}: the cluster has ${candidates.length}`;
  }
  const left = candidates.toSorted();
  return Array.from({ length: target.count }, () =>
    left.splice(random.below(left.length), 1),
  ).flat();
}

/** Faults that overlap count together: what they leave of a role is what there is to serve with. */
function beyondBlast(
  steps: readonly PlannedStep[],
  blast: Blast,
  members: readonly PlanMember[],
): readonly Problem[] {
  const problems: Problem[] = [];
  const roleOf = new Map(members.map(({ id, role }) => [id, role]));
  for (const step of steps) {
    if (step.targets.length === 0) continue;
    const overlapping = steps.filter(
      ({ atUs, durationUs }) => atUs <= step.atUs && atUs + durationUs > step.atUs,
    );
    const hit = new Set([step, ...overlapping].flatMap(({ targets }) => targets));
    const refuse = (message: string): void => {
      problems.push({ path: ["method", step.index], message: `${step.name}: ${message}` });
    };
    if (hit.size > blast.targetsMax) {
      refuse(`hits ${hit.size} members at once, blast.max-targets is ${blast.targetsMax}`);
    }
    for (const role of new Set(step.targets.map((id) => roleOf.get(id) ?? ""))) {
      const all = ofRole(members, role).length;
      const gone = [...hit].filter((id) => roleOf.get(id) === role).length;
      if (gone > blast.fractionMax * all) {
        refuse(
          `hits ${gone} of ${all} of role ${role}, blast.max-fraction is ${blast.fractionMax}`,
        );
      } else if (all - gone < blast.healthyMin) {
        refuse(`leaves ${all - gone} of role ${role}, blast.min-healthy is ${blast.healthyMin}`);
      }
    }
  }
  return problems;
}
