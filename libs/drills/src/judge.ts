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
import { type FaultEffect, faultEffects, type InjectedFault, slowUsOf } from "./effects.ts";
import {
  type Attempts,
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
import { factsOf, type RestLevel } from "./observe.ts";
import { type RetryBudgetFigures, retryBudgetFigures } from "./retry-budget.ts";
import { showSpan } from "./reading.ts";

export interface Evidence {
  readonly requests: readonly LedgerRequest[];
  readonly jobs: readonly LedgerJob[];
  readonly faults: readonly InjectedFault[];
  readonly rest: readonly RestLevel[];
  /** Absent where the ingresses did not say. */
  readonly attempts?: Attempts;
  /** Of the cluster; each has a budget of its own. */
  readonly ingresses?: number;
  /** Planned and not injected, with the reason. */
  readonly refused: readonly string[];
  /** Probes of the hypothesis that were out of tolerance, and a guard that ended the drill. */
  readonly deviations: readonly string[];
  /** Since the start of the load: before the first fault, and when all had ended. */
  readonly calmUntilUs: number;
  readonly endedUs: number;
}

export interface Row {
  /** An invariant, or the name of an objective. */
  readonly id: string;
  readonly meaning: string;
  readonly held: boolean;
  readonly evidence: string;
  /** The first of what broke it. */
  readonly violations: readonly string[];
}

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

const VIOLATIONS_SHOWN = 10;

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
  const faults = faultEffects(evidence.faults, requests, slowUs, shedding);
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

interface Figures {
  readonly availability: Availability;
  readonly failed: number;
  readonly counted: number;
  readonly faults: readonly FaultEffect[];
}

/** Who had nothing to do stands in the evidence, because such a fault proves little. */
function injectedEvidence(faults: readonly InjectedFault[]): string {
  const unfelt = faults.filter(
    ({ idle, targets }) => targets.length > 0 && idle.length === targets.length,
  );
  const unless = unfelt.length === 0 ? "" : `, ${unfelt.length} of them into idle members`;
  return `${faults.length} injected${unless}`;
}

function objectiveRows(drill: Drill, evidence: Evidence, figures: Figures): readonly Row[] {
  const { availability, recoveredWithinUs } = drill.objectives;
  const slow = figures.faults.filter(
    ({ recoveredAfterUs }) =>
      recoveredAfterUs === undefined || recoveredAfterUs > recoveredWithinUs,
  );
  const poison = evidence.requests.filter((request) => request.poison);
  const wrong = poison.filter((request) => verdictOf(request) === "failed");
  const row = (id: string, meaning: string, said: string, violations: readonly string[]): Row => ({
    id,
    meaning,
    held: violations.length === 0,
    evidence: said,
    violations: violations.slice(0, VIOLATIONS_SHOWN),
  });
  const percent = figures.availability.percent;
  return [
    row(
      "availability",
      `at least ${availability} % of the requests got their right answer in time`,
      `${figures.failed} of ${figures.counted} failed`,
      percent >= availability ? [] : [`${percent.toFixed(4)} % of the requests`],
    ),
    row(
      "recovery",
      `targets are back and nothing fails ${showSpan(recoveredWithinUs)} after a fault`,
      `${figures.faults.length} faults`,
      slow.map(({ name, recoveredAfterUs: us }) => {
        return us === undefined
          ? `${name}: never`
          : `${name}: after ${showSpan(Math.round(us / 1000) * 1000)}`;
      }),
    ),
    row(
      "faults",
      "every fault of the method was injected, and what can be counted acted",
      injectedEvidence(evidence.faults),
      [
        ...evidence.refused,
        ...evidence.faults
          .filter(({ acted }) => acted === 0)
          .map(({ kind, name }) => `${name}: ${kind} met nothing`),
      ],
    ),
    ...(drill.load.jobs === undefined
      ? []
      : [
          row(
            "jobs",
            "every job is accepted, however often its client has to ask",
            `${evidence.jobs.length} submitted`,
            evidence.jobs.length === 0
              ? ["none was submitted"]
              : evidence.jobs
                  .filter(({ acceptedUs }) => acceptedUs === undefined)
                  .map(({ key, status, code }) => `${key} got ${status} ${code}`),
          ),
        ]),
    row(
      "hypothesis",
      "the steady state held before and after, and no guard was broken",
      `${evidence.deviations.length} deviations`,
      evidence.deviations,
    ),
    ...(poison.length === 0
      ? []
      : [
          row(
            "poison",
            "an input that no model can run gets a 4xx of its own",
            `${poison.length} poison inputs`,
            wrong.map(({ id, status, code }) => `${id} got ${status} ${code}`),
          ),
        ]),
  ];
}

/** What must hold while more is asked than there is. */
function overloadRows(
  { objectives: { overload: wanted } }: Drill,
  figures: OverloadFigures | undefined,
  tickets: number | undefined,
): readonly Row[] {
  if (wanted === undefined) return [];
  const row = (id: string, meaning: string, held: boolean, evidence: string): Row => ({
    id,
    meaning,
    held,
    evidence,
    violations: held ? [] : [evidence],
  });
  const { capacity, goodputPercent, ticketsMax } = wanted;
  const said = tickets === undefined ? "the ingresses did not say" : tickets.toFixed(3);
  const budget = `at most ${ticketsMax} tickets for a request, retries and hedges included`;
  if (figures === undefined) {
    const why = "nothing was asked in the time of a thundering herd";
    return [row("goodput", "more is asked than there is", false, why)];
  }
  const { goodputPercent: percent, goodputPerSecond, askedPerSecond } = figures;
  const came = `${goodputPerSecond.toFixed(1)}/s, ${percent.toFixed(1)} %`;
  return [
    row(
      "goodput",
      `at least ${goodputPercent} % of ${capacity} requests/s are answered rightly and in time`,
      percent >= goodputPercent,
      `${came}; ${Math.round(askedPerSecond)}/s were asked`,
    ),
    row(
      "p99-admitted",
      "99 in 100 of what was not refused are served inside their deadlines",
      figures.p99OfDeadline <= 1,
      `${figures.missed} of ${figures.admitted} missed it, p99 ${figures.p99Ms.toFixed(0)} ms`,
    ),
    row("tickets", budget, tickets !== undefined && tickets <= ticketsMax, said),
  ];
}

function addedLatencyRows(
  { objectives: { addedLatency: allowed } }: Drill,
  added: AddedLatency | undefined,
): readonly Row[] {
  if (allowed === undefined) return [];
  const { fault, windowUs, p99UsMax } = allowed;
  const held = added !== undefined && added.addedP99Ms <= p99UsMax / 1000;
  const said =
    added === undefined
      ? "too few requests to tell"
      : `p99 ${added.disturbedP99Ms.toFixed(1)} ms of ${added.disturbed} requests, ` +
        `${added.undisturbedP99Ms.toFixed(1)} ms of ${added.undisturbed} between`;
  const worst = (added?.faults ?? []).toSorted((a, b) => b.p99Ms - a.p99Ms);
  const each = worst.map(({ name, p99Ms, maxMs }) => {
    return `${name}: p99 ${p99Ms.toFixed(1)} ms, at most ${maxMs.toFixed(1)} ms`;
  });
  const meaning =
    `a ${fault} adds at most ${showSpan(p99UsMax)} at p99 ` +
    `to what is open or asked within ${showSpan(windowUs)}`;
  const violations = held ? [] : each.length > 0 ? each.slice(0, VIOLATIONS_SHOWN) : [said];
  return [{ id: "added-latency", meaning, held, evidence: said, violations }];
}

/** A drill in which no retry was denied did not come to the budget's end, and shows nothing. */
function retryBudgetRows(
  { objectives: { retryBudget: given } }: Drill,
  figures: RetryBudgetFigures | undefined,
): readonly Row[] {
  if (given === undefined) return [];
  const { share, perSecond, burst } = given;
  const isKept = figures !== undefined && figures.repeated <= figures.allowed;
  const said =
    figures === undefined
      ? "the ingresses did not say"
      : `${figures.repeated} of ${figures.allowed}, ${figures.denied} more were denied`;
  const violations = [
    ...(isKept ? [] : [said]),
    ...(figures?.denied === 0 ? ["none was denied: the budget was not used up"] : []),
  ];
  const meaning =
    `an ingress sends at most ${share} tickets more for each request, ${perSecond} a second ` +
    `and ${burst} at once`;
  return [
    { id: "retry-budget", meaning, held: violations.length === 0, evidence: said, violations },
  ];
}
