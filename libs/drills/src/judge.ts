/** The verdict of a drill: per invariant and per objective, with the evidence for it. */

import {
  type Checker,
  checkOneAnswer,
  checkOneEffect,
  checkOwnAnswer,
  checkRecovery,
  type InvariantId,
  Observer,
  type Report,
} from "@millrace/invariants";
import { type AddedLatency, addedLatency } from "./added-latency.ts";
import { type Availability, availabilityOf } from "./availability.ts";
import type { Drill } from "./drill.ts";
import { type FaultEffect, faultEffects, slowUsOf } from "./effects.ts";
import { type Evidence, type Row, VIOLATIONS_SHOWN } from "./evidence.ts";
import {
  addedLatencyRows,
  objectiveRows,
  overloadRows,
  retryBudgetRows,
} from "./objective-rows.ts";
import {
  overloadFigures,
  type OverloadFigures,
  sheddingSpans,
  ticketsPerRequest,
} from "./overload.ts";
import {
  LATE_SLACK_US,
  type LedgerJob,
  type LedgerRequest,
  type Span,
  verdictOf,
} from "./ledger.ts";
import { factsOf } from "./observe.ts";
import { type RetryBudgetFigures, retryBudgetFigures } from "./retry-budget.ts";
import { showSpan } from "./reading.ts";

export interface Judgement {
  /** Those that count for availability: no poison, nothing that a limit refused, nothing shed. */
  readonly requests: number;
  readonly failed: number;
  readonly limited: number;
  /** Refused for want of capacity while the drill asked for more than there is. */
  readonly shed: number;
  /** Tickets that the ingresses sent for each request; undefined where they did not say. */
  readonly ticketsPerRequest: number | undefined;
  /** Of a drill with such an objective. */
  readonly overload: OverloadFigures | undefined;
  /** Of a drill with such an objective; undefined also where too little was asked to tell. */
  readonly addedLatency: AddedLatency | undefined;
  /** Of a drill with such an objective; undefined also where the ingresses did not say. */
  readonly retryBudget: RetryBudgetFigures | undefined;
  readonly poison: number;
  readonly availability: Availability;
  /** Failures by what the client saw. */
  readonly failures: Readonly<Record<string, number>>;
  /** Accepted. */
  readonly jobs: number;
  readonly jobsRefused: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly stuck: number;
  readonly faults: readonly FaultEffect[];
  readonly rows: readonly Row[];
  readonly passed: boolean;
}

const INVARIANTS: Readonly<
  Partial<Record<InvariantId, { meaning: string; make: (report: Report) => Checker }>>
> = {
  I1: {
    meaning: "every admitted request ends in exactly one answer, by its deadline",
    make: (report) => checkOneAnswer(report, LATE_SLACK_US),
  },
  I2: { meaning: "an answer belongs to its own request", make: checkOwnAnswer },
  I5: { meaning: "an accepted job is done exactly once in effect", make: checkOneEffect },
  I7: {
    meaning: "when a fault is over, nothing fails any more, and nothing is left over",
    make: checkRecovery,
  },
};

export function judge(drill: Drill, evidence: Evidence): Judgement {
  const { requests, jobs, endedUs } = evidence;
  const shedding = sheddingSpans(drill, evidence.faults);
  const verdicts = requests.map((request) => [request, verdictOf(request, shedding)] as const);
  const counted = verdicts.filter(
    ([request, verdict]) => !request.poison && verdict !== "limited" && verdict !== "shed",
  );
  const failures: Record<string, number> = {};
  for (const [request, verdict] of counted) {
    if (verdict !== "failed") continue;
    const how = describeFailure(request);
    failures[how] = (failures[how] ?? 0) + 1;
  }
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const availability = availabilityOf(counted.length, failed);
  const slowUs = slowUsOf(requests, evidence.calmUntilUs);
  const faults = faultEffects(
    evidence.faults,
    requests,
    slowUs,
    shedding,
    drill.objectives.recoveredWithinUs,
  );
  const accepted = jobs.filter(({ acceptedUs }) => acceptedUs !== undefined);
  const { overload: wanted, addedLatency: allowed, retryBudget: given } = drill.objectives;
  const overload =
    wanted === undefined ? undefined : overloadFigures(wanted, requests, evidence.faults);
  const added = allowed && addedLatency(allowed, drill.load.warmUpUs, requests, evidence.faults);
  const budget =
    given && retryBudgetFigures(given, evidence.ingresses ?? 1, evidence.attempts, endedUs);
  const tickets = ticketsPerRequest(evidence.attempts);
  const rows = [
    ...invariantRows(drill, evidence, shedding),
    ...objectiveRows(drill, evidence, { availability, failed, counted: counted.length, faults }),
    ...overloadRows(drill, overload, tickets),
    ...addedLatencyRows(drill, added),
    ...retryBudgetRows(drill, budget),
  ];
  return {
    requests: counted.length,
    failed,
    limited: verdicts.filter(([, verdict]) => verdict === "limited").length,
    shed: verdicts.filter(([, verdict]) => verdict === "shed").length,
    ticketsPerRequest: tickets,
    overload,
    addedLatency: added,
    retryBudget: budget,
    poison: requests.filter(({ poison }) => poison).length,
    availability,
    failures,
    jobs: accepted.length,
    jobsRefused: jobs.length - accepted.length,
    lost: accepted.filter((job) => isLost(job)).length,
    duplicated: accepted.filter((job) => isDuplicated(job)).length,
    stuck: accepted.filter((job) => job.endedUs === undefined && !job.gone).length,
    faults,
    rows,
    passed: rows.every(({ held }) => held) && endedUs > 0,
  };
}

/** Its inputs are good, so an item that failed was not done either. */
const isLost = ({ gone, endedUs, items, results }: LedgerJob): boolean => {
  const done = new Set(results.filter(({ ok }) => ok).map(({ index }) => index));
  return gone || (endedUs !== undefined && done.size < items);
};

const isDuplicated = ({ ids, results }: LedgerJob): boolean =>
  ids.length > 1 || new Set(results.map(({ index }) => index)).size < results.length;

/** What the client saw, short enough to count by. */
export function describeFailure(request: LedgerRequest): string {
  const { ending, status, code, matched, question } = request;
  if (ending === "unreached") return "no connection";
  if (ending === "unknown") return "connection lost";
  if (ending === "refused") return `${status} ${code}`.trim();
  if (matched === question) return "late";
  return matched === "" ? "wrong values" : "another request's answer";
}

function invariantRows(
  drill: Drill,
  evidence: Evidence,
  shedding: readonly Span[],
): readonly Row[] {
  const recoveredWithinUs = drill.objectives.recoveredWithinUs;
  const facts = factsOf({ ...evidence, shedding, recoveredWithinUs });
  return drill.invariants.flatMap((id) => {
    const entry = INVARIANTS[id];
    if (entry === undefined) return [];
    const observer = new Observer([entry.make]);
    for (const { fact, atUs } of facts) observer.observe(fact, atUs);
    observer.finish(evidence.endedUs);
    const count = observer.violations.length + observer.unreported;
    const what =
      id === "I5" ? `${evidence.jobs.length} jobs` : `${evidence.requests.length} requests`;
    return [
      {
        id,
        meaning: entry.meaning,
        held: count === 0,
        evidence: count === 0 ? what : `${count} violations in ${what}`,
        violations: observer.violations
          .slice(0, VIOLATIONS_SHOWN)
          .map(({ atUs, message }) => `${showSpan(Math.round(atUs / 1000) * 1000)}: ${message}`),
      },
    ];
  });
}
