/**
 * What the faults of a kind add to latency: the requests that each of them may have delayed, all
 * together, against those of the time that no fault disturbed.
 *
 * A request belongs to a fault if it was open at its injection, or was to be sent in the window
 * after it. Undisturbed is what was to be sent after the warm-up and neither in a window, of any
 * fault of any kind, nor until a moment after its targets were back: a process that starts costs
 * time too. What failed counts with all of its time, however soon it failed.
 */

import type { AddedLatencyObjective } from "./drill.ts";
import type { InjectedFault } from "./effects.ts";
import { type LedgerRequest, verdictOf } from "./ledger.ts";

export interface AddedLatency {
  /** Requests that the faults may have delayed, and those of undisturbed time. */
  readonly disturbed: number;
  readonly undisturbed: number;
  readonly disturbedP50Ms: number;
  readonly disturbedP99Ms: number;
  readonly undisturbedP50Ms: number;
  readonly undisturbedP99Ms: number;
  /** The difference of the two at p99, which the objective bounds. */
  readonly addedP99Ms: number;
  /** In the order of their injection. */
  readonly faults: readonly FaultLatency[];
}

export interface FaultLatency {
  readonly name: string;
  readonly requests: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Fewer say nothing of one in a hundred. */
const REQUESTS_MIN = 100;
/** A member that was just heard again still loads models and warms up. */
const RETURN_US = 1_000_000;

/** Undefined where there are too few requests on either side to tell. */
export function addedLatency(
  { fault: kind, windowUs }: AddedLatencyObjective,
  warmUpUs: number,
  requests: readonly LedgerRequest[],
  faults: readonly InjectedFault[],
): AddedLatency | undefined {
  const counted = requests.filter(({ poison, status }) => !poison && status !== 429);
  // Who had nothing to do could delay nobody, and would only thin out what the others did.
  const hit = faults
    .filter(({ idle, kind: of, targets }) => of === kind && idle.length < targets.length)
    .toSorted((a, b) => a.injectedUs - b.injectedUs);
  const disturbed = counted.filter((request) =>
    hit.some((fault) => meets(request, fault, windowUs)),
  );
  const lastsUs = ({ injectedUs, endedUs, returnedUs = Infinity }: InjectedFault): number =>
    Math.max(windowUs, Math.max(endedUs, returnedUs) + RETURN_US - injectedUs);
  const undisturbed = counted.filter(
    (request) =>
      request.intendedUs >= warmUpUs &&
      !faults.some((fault) => meets(request, fault, lastsUs(fault))),
  );
  if (Math.min(disturbed.length, undisturbed.length) < REQUESTS_MIN) return undefined;
  const during = disturbed.map(tookMs);
  const between = undisturbed.map(tookMs);
  const [disturbedP99Ms, undisturbedP99Ms] = [quantile(during, 0.99), quantile(between, 0.99)];
  return {
    disturbed: disturbed.length,
    undisturbed: undisturbed.length,
    disturbedP50Ms: quantile(during, 0.5),
    disturbedP99Ms,
    undisturbedP50Ms: quantile(between, 0.5),
    undisturbedP99Ms,
    addedP99Ms: disturbedP99Ms - undisturbedP99Ms,
    faults: hit.map((fault) => {
      const own = counted.filter((request) => meets(request, fault, windowUs)).map(tookMs);
      const [p99Ms, maxMs] = [quantile(own, 0.99), quantile(own, 1)];
      return { name: fault.name, requests: own.length, p99Ms, maxMs };
    }),
  };
}

/** Open at the injection, or to be sent so soon after it. */
const meets = (
  { intendedUs, endedUs }: LedgerRequest,
  { injectedUs }: InjectedFault,
  windowUs: number,
): boolean => endedUs >= injectedUs && intendedUs < injectedUs + windowUs;

function tookMs(request: LedgerRequest): number {
  const us = request.endedUs - request.intendedUs;
  return (verdictOf(request) === "right" ? us : Math.max(us, request.budgetUs)) / 1000;
}

/** 0 of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
}
