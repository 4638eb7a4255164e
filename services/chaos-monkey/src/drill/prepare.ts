/** What a drill needs to know before it touches anything: who is there, and what can be done. */

import { closedReason, type DrillPlan, planDrill, type PlanMember } from "@millrace/drills";
import type { FaultKind } from "@millrace/protocol";
import type { DrillOrder } from "./messages.ts";
import type { MonkeyLink } from "./monkey-link.ts";

/** What the command tells its user, with what to do about it. */
export class DrillError extends Error {
  override readonly name = "DrillError";
  readonly remedy: string;

  constructor(problem: string, remedy: string) {
    super(problem);
    this.remedy = remedy;
  }
}

export interface Prepared {
  readonly plan: DrillPlan;
  readonly members: readonly PlanMember[];
}

const WITH_CHAOS = "start the cluster with `millrace up --chaos`, or run the drill with --up";

/** @throws DrillError where the drill may not or cannot be done here and now. */
export async function prepareDrill(
  { drill, seed, durationUs }: DrillOrder,
  monkey: MonkeyLink,
  nowUs: number,
): Promise<Prepared> {
  const closed = drill.window === undefined ? undefined : closedReason(drill.window, nowUs);
  if (closed !== undefined)
    throw new DrillError(closed, "run it in its window, or change the file");
  const listed = await monkey.list();
  if (!listed.ok) {
    const { code, message } = listed.error;
    throw new DrillError(`no chaos-monkey answers: ${message} (${code})`, WITH_CHAOS);
  }
  const { members = [], kinds = [], enabled } = listed.value;
  if (enabled === false) throw new DrillError("faults are not enabled on this cluster", WITH_CHAOS);
  const away = members.filter(({ alive }) => !alive).map(({ id }) => id);
  if (away.length > 0) {
    throw new DrillError(`not all members run: ${away.join(", ")}`, "see `millrace status`");
  }
  const plan = planDrill(drill, { seed, durationUs, members });
  if (!plan.ok) {
    const problems = plan.error.map(({ message }) => message).join("\n  ");
    throw new DrillError(`the drill is refused:\n  ${problems}`, "change the file or the cluster");
  }
  const missing = new Map<FaultKind, string>();
  for (const { kind, missing: what } of kinds) if (what !== undefined) missing.set(kind, what);
  const wanted = new Set(
    drill.method.flatMap((activity) =>
      activity.type === "action" && activity.what.act === "inject" ? activity.what.fault.kind : [],
    ),
  );
  const impossible = [...wanted].filter((kind) => missing.has(kind));
  if (impossible.length > 0) {
    const reasons = impossible.map((kind) => `${kind}: ${missing.get(kind)}`).join("\n  ");
    throw new DrillError(`faults that cannot be made here:\n  ${reasons}`, "leave them out");
  }
  return { plan: plan.value, members: members.map(({ id, role }) => ({ id, role })) };
}
