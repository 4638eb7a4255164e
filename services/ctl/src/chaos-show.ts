/** Drills in the terminal: their plan, how they go, their verdict. */

import { type Drill, type DrillPlan, type Journal, showSpan, UNBOUNDED } from "@millrace/drills";
import { formatTable } from "@millrace/std";
import { percentText } from "./chaos-report.ts";

export interface StateShown {
  readonly stage: string;
  readonly atUs: number;
  readonly ended: number;
  readonly failed: number;
  readonly open: number;
  readonly jobsEnded: number;
  readonly p99Ms?: number;
  readonly healthyWorkers: number;
  readonly faults: readonly string[];
}

const seconds = (us: number): string => `${(us / 1e6).toFixed(0)} s`;

export function renderState(state: StateShown): string {
  const p99 = state.p99Ms === undefined ? "" : `, p99 ${state.p99Ms.toFixed(1)} ms`;
  const jobs = state.jobsEnded > 0 ? `, ${state.jobsEnded} jobs` : "";
  const faults = state.faults.length > 0 ? `  [${state.faults.join("; ")}]` : "";
  return (
    `${seconds(state.atUs).padStart(6)}  ${state.stage}: ${state.ended} requests, ` +
    `${state.failed} failed, ${state.open} open${p99}${jobs}, ` +
    `${state.healthyWorkers} workers${faults}`
  );
}

/** What would be done. Without a cluster, whom it would hit is not known yet. */
export function renderPlan(drill: Drill, plan: DrillPlan, hasCluster: boolean): string {
  const { load, guards } = drill;
  const rows = plan.steps.map(({ atUs, kind, targets, durationUs, name }) => [
    seconds(atUs),
    kind ?? "probe",
    targets.length > 0 ? targets.join(", ") : kind === undefined || hasCluster ? "-" : "drawn then",
    durationUs > 0 ? showSpan(durationUs) : "-",
    name,
  ]);
  const jobs = load.jobs === undefined ? "" : `, ${load.jobs.count} jobs`;
  const lines = [
    `${drill.title} (seed ${plan.seed})`,
    `${load.requestsPerSecond} requests/s for ${showSpan(plan.durationUs)}${jobs}`,
    formatTable([["at", "fault", "hits", "lasts", "step"], ...rows]),
  ];
  if (plan.omitted.length > 0) lines.push(`left out, as too late: ${plan.omitted.join(", ")}`);
  for (const { metric, windowUs, bounds } of guards) {
    const least = bounds.min > -UNBOUNDED ? [`below ${bounds.min}`] : [];
    const most = bounds.max < UNBOUNDED ? [`above ${bounds.max}`] : [];
    const when = [...least, ...most].join(" or ");
    lines.push(`ends and heals if ${metric} over ${showSpan(windowUs)} is ${when}`);
  }
  lines.push("Who was drawn and has nothing to do by then gives way to another of its role.");
  lines.push("Nothing was touched; `millrace chaos run` does it.");
  return lines.join("\n");
}

export function renderVerdict({ millrace }: Journal): string {
  const { judgement, aborted } = millrace;
  const { availability } = judgement;
  const rows = judgement.rows.map(({ id, held, meaning, evidence }) => [
    held ? "held" : "BROKEN",
    id,
    evidence,
    meaning,
  ]);
  const lines = [
    formatTable(rows),
    ...judgement.rows.flatMap(({ id, violations }) => violations.map((said) => `  ${id}: ${said}`)),
    `${judgement.requests} requests, ${judgement.failed} failed: ` +
      `${percentText(availability.percent)}, at least ${percentText(availability.lowerPercent)} ` +
      "with 95 % confidence",
    ...Object.entries(judgement.failures).map(([how, count]) => `  ${count} x ${how}`),
    `${judgement.jobs} jobs accepted: ${judgement.lost} lost, ${judgement.duplicated} ` +
      `duplicated, ${judgement.stuck} stuck; ${judgement.faults.length} faults`,
  ];
  if (aborted !== "") lines.push(`ended before its time: ${aborted}`);
  lines.push(judgement.passed ? "green" : "RED");
  return lines.join("\n");
}
