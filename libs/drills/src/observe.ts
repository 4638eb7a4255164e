/** The ledger as facts, for the checkers that judge the simulator too. */

import type { Fact } from "@millrace/invariants";
import { type ErrorCode, ERRORS } from "@millrace/protocol";
import type { InjectedFault } from "./effects.ts";
import { type LedgerJob, type LedgerRequest, type Span, verdictOf } from "./ledger.ts";

/** What was still held by a member after everything had ended. */
export interface RestLevel {
  readonly process: string;
  readonly what: string;
  readonly value: number;
}

export interface Observed {
  readonly requests: readonly LedgerRequest[];
  readonly jobs: readonly LedgerJob[];
  readonly faults: readonly InjectedFault[];
  readonly rest: readonly RestLevel[];
  readonly shedding: readonly Span[];
  /** A fault excuses a failure until so long after its end, at most. */
  readonly recoveredWithinUs: number;
  readonly endedUs: number;
}

export interface TimedFact {
  readonly atUs: number;
  readonly fact: Fact;
}

const codeOf = (code: string): ErrorCode =>
  Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "INTERNAL";

/** In the order of their times. */
export function factsOf(observed: Observed): readonly TimedFact[] {
  const facts: TimedFact[] = [];
  for (const request of observed.requests) facts.push(...requestFacts(request, observed));
  for (const job of observed.jobs) facts.push(...jobFacts(job));
  for (const level of observed.rest) {
    facts.push({ atUs: observed.endedUs, fact: { type: "restRead", ...level } });
  }
  // Stable: of one time, what was noted first comes first.
  return facts.sort((a, b) => a.atUs - b.atUs);
}

function requestFacts(request: LedgerRequest, observed: Observed): readonly TimedFact[] {
  const { id, ending, intendedUs, endedUs, budgetUs, poison } = request;
  // No ingress took the connection: nothing was admitted, nothing is owed but availability.
  if (ending === "unreached") return [];
  const isShed = verdictOf(request, observed.shedding) === "shed";
  const owed = !poison && request.status !== 429 && !isShed && !excused(request, observed);
  const deadlineUs = intendedUs + budgetUs;
  const admitted: TimedFact = {
    atUs: intendedUs,
    fact: { type: "requestAdmitted", request: id, ingress: "ingress", deadlineUs, owed },
  };
  if (ending === "unknown") {
    // An ingress that was hit takes its open connections with it; no other may lose one.
    if (!ingressHit(request, observed.faults)) return [admitted];
    return [admitted, { atUs: endedUs, fact: { type: "requestAbandoned", request: id } }];
  }
  const right = request.matched === request.question;
  const outcome =
    ending === "answered" && !poison
      ? ({ ok: true, content: right ? id : sourceOf(request.matched) } as const)
      : ({ ok: false, code: codeOf(request.code) } as const);
  return [admitted, { atUs: endedUs, fact: { type: "requestSettled", request: id, outcome } }];
}

const sourceOf = (matched: string): string =>
  matched === "" ? "no known input" : `input ${matched}`;

/** A fault excuses what fails until its targets are back and had a moment, or its time is over. */
const MOMENT_US = 2_000_000;

const excused = ({ intendedUs, endedUs }: LedgerRequest, observed: Observed): boolean =>
  observed.faults.some((fault) => {
    const backUs = Math.max(fault.endedUs, fault.returnedUs ?? Infinity) + MOMENT_US;
    const untilUs = Math.min(backUs, fault.endedUs + observed.recoveredWithinUs);
    return endedUs >= fault.injectedUs && intendedUs <= untilUs;
  });

const ingressHit = (
  { intendedUs, endedUs }: LedgerRequest,
  faults: readonly InjectedFault[],
): boolean =>
  faults.some(
    ({ targets, injectedUs, endedUs: overUs }) =>
      targets.some((id) => id.startsWith("ingress")) &&
      endedUs >= injectedUs &&
      intendedUs <= overUs,
  );

function jobFacts(job: LedgerJob): readonly TimedFact[] {
  const { key, acceptedUs, endedUs, ids, items, results } = job;
  if (acceptedUs === undefined) return [];
  const facts: TimedFact[] = ids.map((id) => ({
    atUs: acceptedUs,
    fact: { type: "jobAccepted", job: id, key, items },
  }));
  const id = ids[0] ?? key;
  if (endedUs === undefined) return facts;
  for (const { index, ok, question, matched, code } of results) {
    const content = !ok ? undefined : matched === question ? `${id}/${index}` : sourceOf(matched);
    // Every input of a drill's job is good.
    const failed = ok ? undefined : code;
    const fact = { type: "jobItemRead", job: id, item: index, content, failed } as const;
    facts.push({ atUs: endedUs, fact });
  }
  facts.push({ atUs: endedUs, fact: { type: "jobEnded", job: id } });
  return facts;
}
