/**
 * A drill that asks for more than there is: what of the capacity came out as right answers, whether
 * those that were taken were served in time, and how many attempts it cost.
 *
 * What is refused for want of capacity is no failure there, until the load has been back for as
 * long as a recovery may take. A late answer is one, and so is whatever else fails. In time means
 * by the deadline to the microsecond: no slack for the way back.
 */

import { quantile } from "./added-latency.ts";
import type { Drill, OverloadObjective } from "./drill.ts";
import type { InjectedFault } from "./effects.ts";
import { type LedgerRequest, type Span, verdictOf } from "./ledger.ts";

/** What the ingresses sent to schedulers, from the start of the load to its end. */
export interface Attempts {
  /** Requests that they took. */
  readonly requests: number;
  /** Tickets beyond the first of each: retries, hedges, and what was sent again. */
  readonly repeated: number;
  /** Retries and hedges that the budget did not allow. */
  readonly denied: number;
}

export interface OverloadFigures {
  readonly askedPerSecond: number;
  /** Right answers in time, by the second in which they came. */
  readonly goodputPerSecond: number;
  /** Of the stated capacity. */
  readonly goodputPercent: number;
  /** Not refused for want of capacity. */
  readonly admitted: number;
  /** Of them: failed, or answered after their deadline. */
  readonly missed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** 1 is exactly the deadline. */
  readonly p99OfDeadline: number;
  readonly refused: number;
  /** How long a client waited for its refusal. */
  readonly refusedP50Ms: number;
  readonly refusedP99Ms: number;
}

const HERD = "thundering-herd";

/** Times in which a refusal for want of capacity is what is wanted; none without the objective. */
export function sheddingSpans(drill: Drill, faults: readonly InjectedFault[]): readonly Span[] {
  const { overload, recoveredWithinUs } = drill.objectives;
  if (overload === undefined) return [];
  return faults
    .filter(({ kind }) => kind === HERD)
    .map(({ injectedUs, endedUs }) => ({ fromUs: injectedUs, toUs: endedUs + recoveredWithinUs }));
}

/** Undefined where nothing was asked in the time of a herd. */
export function overloadFigures(
  { capacity }: OverloadObjective,
  requests: readonly LedgerRequest[],
  faults: readonly InjectedFault[],
): OverloadFigures | undefined {
  const herds = faults
    .filter(({ kind }) => kind === HERD)
    .map(({ injectedUs, endedUs }) => ({ fromUs: injectedUs, toUs: endedUs }));
  const during = (us: number): boolean =>
    herds.some(({ fromUs, toUs }) => us >= fromUs && us < toUs);
  const seconds = herds.reduce((sum, { fromUs, toUs }) => sum + (toUs - fromUs), 0) / 1e6;
  const asked = requests.filter(({ intendedUs, poison }) => !poison && during(intendedUs));
  if (asked.length === 0 || seconds <= 0) return undefined;
  const isGood = (request: LedgerRequest): boolean =>
    verdictOf(request) === "right" && tookUs(request) <= request.budgetUs;
  const good = requests.filter((request) => during(request.endedUs) && isGood(request)).length;
  const isRefused = (request: LedgerRequest): boolean => verdictOf(request, herds) === "shed";
  const refused = asked.filter(isRefused);
  const admitted = asked.filter((request) => !isRefused(request));
  const admittedMs = admitted.map((request) => tookUs(request) / 1000);
  const refusedMs = refused.map((request) => tookUs(request) / 1000);
  return {
    askedPerSecond: asked.length / seconds,
    goodputPerSecond: good / seconds,
    goodputPercent: (100 * good) / seconds / capacity,
    admitted: admitted.length,
    missed: admitted.filter((request) => !isGood(request)).length,
    p50Ms: quantile(admittedMs, 0.5),
    p99Ms: quantile(admittedMs, 0.99),
    p99OfDeadline: quantile(
      // What failed otherwise was not served in time either, however soon it failed.
      admitted.map((request) =>
        isGood(request) ? tookUs(request) / request.budgetUs : Math.max(tooLate(request), 1.001),
      ),
      0.99,
    ),
    refused: refused.length,
    refusedP50Ms: quantile(refusedMs, 0.5),
    refusedP99Ms: quantile(refusedMs, 0.99),
  };
}

const tookUs = ({ intendedUs, endedUs }: LedgerRequest): number => endedUs - intendedUs;
const tooLate = (request: LedgerRequest): number => tookUs(request) / request.budgetUs;

/** Tickets per request; undefined where nobody said. */
export const ticketsPerRequest = (attempts: Attempts | undefined): number | undefined =>
  attempts === undefined || attempts.requests === 0
    ? undefined
    : 1 + attempts.repeated / attempts.requests;
