/** A fault as those who inject it see it: what can be hit, what is under way, how it ended. */

import type { Fault, FaultEnd, FaultKind, FaultSpec } from "@millrace/protocol";
import type { Result } from "@millrace/std";

export type { FaultEnd, FaultKind, FaultSpec, FaultTarget } from "@millrace/protocol";

/** Somebody who can be hit. */
export interface FaultMember {
  readonly id: string;
  readonly role: string;
  /** Absent between two runs of the process. */
  readonly pid?: number;
  readonly zone?: string;
  /** Where it runs in one: the container's id. */
  readonly container?: string;
}

export interface ActiveFault {
  readonly id: string;
  readonly kind: FaultKind;
  /** Ids of members. */
  readonly targets: readonly string[];
  /** Unix microseconds. */
  readonly injectedAtUs: number;
  /** It heals by itself then. */
  readonly endsAtUs: number;
  /** Ends it now; resolves when it is undone. A second call joins the first. */
  heal(): Promise<void>;
  /** Resolves once it is undone, whatever ended it. */
  readonly ended: Promise<FaultEnd>;
  /** How often it acted, where it acts on what passes and that is counted. */
  readonly acted?: () => Promise<number>;
}

/** What can be hit, and how. Implementations: this machine's processes, and containers. */
export interface FaultWorld extends AsyncDisposable {
  /** Fresh at each call. */
  members(): Promise<readonly FaultMember[]>;
  /** What is missing here for faults of this kind; undefined where nothing is. */
  missing(kind: FaultKind): Promise<string | undefined>;
  /**
   * Hits exactly these members. Nothing is left behind where it fails.
   * Faults: FAULT_NO_TARGET, FAULT_UNAVAILABLE, FAULT_FAILED.
   */
  inject(spec: FaultSpec, ids: readonly string[]): Promise<Result<ActiveFault, Fault>>;
}
