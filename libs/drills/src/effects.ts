/** What each fault did: when it was seen, whom it touched, when all was well again. */

import { type LedgerRequest, type Span, verdictOf } from "./ledger.ts";

/** A fault that was injected. Times are microseconds since the start of the load. */
export interface InjectedFault {
  readonly name: string;
  readonly kind: string;
  readonly targets: readonly string[];
  /** Those of the targets that had nothing to do when it began: it proves little of them. */
  readonly idle: readonly string[];
  /** How often it acted, of faults that meet some messages and not others. */
  readonly acted?: number | undefined;
  readonly injectedUs: number;
  readonly endedUs: number;
  /** `healed`, `expired` or `target-gone`; for a fault of the load always `expired`. */
  readonly end: string;
  /**
   * When a target was first suspected as the cluster itself does: a disconnect event of the broker,
   * or silence of its heartbeats. Undefined where neither came, as for what only slows.
   */
  readonly detectedUs: number | undefined;
  /** When all of its targets were heard again; undefined where they never were. */
  readonly returnedUs: number | undefined;
}

export interface FaultEffect extends InjectedFault {
  /** Requests in its time that failed, were sent again, or took far longer than before. */
  readonly touched: number;
  readonly failed: number;
  /** From its end until its targets were back and nothing failed or was sent again any more. */
  readonly recoveredAfterUs: number | undefined;
}

/** As people read it: the targets, and who of them was idle. */
export const describeTargets = ({
  idle,
  targets,
}: Pick<InjectedFault, "idle" | "targets">): string =>
  targets.map((id) => (idle.includes(id) ? `${id} (idle)` : id)).join(", ");

/** After its end, a request may still suffer from it; from then on it is the next one's. */
const AFTERMATH_US = 10_000_000;
/** Slower than this by far: twice what one in a thousand took in calm, and at least 50 ms. */
const SLOW_FACTOR = 2;
const SLOW_US_MIN = 50_000;

/** The latency beyond which a request counts as touched. */
export function slowUsOf(requests: readonly LedgerRequest[], calmUntilUs: number): number {
  const calm = requests
    .filter((request) => request.endedUs <= calmUntilUs && verdictOf(request) === "right")
    .map((request) => request.endedUs - request.intendedUs)
    .sort((a, b) => a - b);
  const usual = calm[Math.floor(calm.length * 0.999)] ?? 0;
  return Math.max(SLOW_US_MIN, SLOW_FACTOR * usual);
}

/** Slowness comes from a busy machine as well, so it alone does not put off a recovery. */
const isHarmed = (request: LedgerRequest): boolean =>
  verdictOf(request) === "failed" || request.attempts > 1;

export function faultEffects(
  faults: readonly InjectedFault[],
  requests: readonly LedgerRequest[],
  slowUs: number,
  shedding: readonly Span[] = [],
  recoveredWithinUs = 0,
): readonly FaultEffect[] {
  const hurt = requests.filter((request) => {
    if (isHarmed(request)) return true;
    return verdictOf(request) === "right" && request.endedUs - request.intendedUs > slowUs;
  });
  const begins = faults.map(({ injectedUs }) => injectedUs).sort((a, b) => a - b);
  return faults.map((fault) => {
    const next = begins.find((us) => us > fault.injectedUs && us >= fault.endedUs) ?? Infinity;
    const since = (lastUs: number): LedgerRequest[] =>
      hurt.filter(
        ({ intendedUs, endedUs }) =>
          endedUs >= fault.injectedUs && intendedUs <= Math.min(lastUs, next),
      );
    const touched = since(fault.endedUs + AFTERMATH_US);
    // Longer than a recovery may take: else one that takes longer could not be seen.
    const lastUs = since(fault.endedUs + recoveredWithinUs + AFTERMATH_US)
      .filter(isHarmed)
      .reduce((last, { endedUs }) => Math.max(last, endedUs), 0);
    const { returnedUs } = fault;
    return {
      ...fault,
      touched: touched.length,
      failed: touched.filter((request) => verdictOf(request, shedding) === "failed").length,
      recoveredAfterUs:
        returnedUs === undefined
          ? undefined
          : Math.max(0, lastUs - fault.endedUs, returnedUs - fault.endedUs),
    };
  });
}
