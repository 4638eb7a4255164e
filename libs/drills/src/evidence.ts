/** What a drill is judged by, and what a judgement is made of. */

import type { InjectedFault } from "./effects.ts";
import type { LedgerJob, LedgerRequest } from "./ledger.ts";
import type { RestLevel } from "./observe.ts";
import type { Attempts } from "./overload.ts";

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

/** Of one row. */
export const VIOLATIONS_SHOWN = 10;
