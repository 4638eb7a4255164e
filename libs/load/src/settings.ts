/** What the load generator is told, and what the ledger says of each request and job. */

import type { Priority } from "@millrace/protocol";

export interface LoadSettings {
  /** Ingresses, without a slash at the end; clients go on to the next where one takes nobody. */
  readonly urls: readonly string[];
  /** An API key for each tenant. */
  readonly keys: readonly string[];
  readonly seed: number;
  readonly requestsPerSecond: number;
  readonly durationUs: number;
  /** Jobs begin after it. */
  readonly warmUpUs: number;
  readonly mix: readonly LoadShare[];
  /** Share of the requests that no model can run. */
  readonly poison: number;
  readonly jobs: LoadJobs | undefined;
  /** Where the ledger is written: one JSON object a line. */
  readonly ledgerFile: string;
}

export interface LoadShare {
  readonly model: string;
  readonly share: number;
  readonly priority: Priority;
  readonly deadlineUs: number;
}

export interface LoadJobs {
  readonly model: string;
  readonly count: number;
  readonly items: number;
  /** How long after the load they are followed. */
  readonly endWithinUs: number;
}

/** Times are microseconds since the start of the load. */
export interface RequestEntry {
  readonly type: "request";
  readonly id: string;
  readonly tenant: number;
  readonly model: string;
  readonly priority: Priority;
  /** When it was to be sent, by a schedule that does not wait for answers. */
  readonly intendedUs: number;
  readonly sentUs: number;
  readonly endedUs: number;
  readonly budgetUs: number;
  /** Connections on which it was sent, refused ones included. */
  readonly attempts: number;
  readonly poison: boolean;
  readonly ending: "answered" | "refused" | "unreached" | "unknown";
  /** 0 where no status came. */
  readonly status: number;
  readonly code: string;
  /** The question that was asked, and the one whose reference the answer equals; empty for none. */
  readonly question: string;
  readonly matched: string;
}

export interface ItemEntry {
  readonly index: number;
  readonly ok: boolean;
  readonly code: string;
  readonly question: string;
  readonly matched: string;
}

export interface JobEntry {
  readonly type: "job";
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly tenant: number;
  readonly items: number;
  readonly submittedUs: number;
  readonly acceptedUs: number | undefined;
  readonly endedUs: number | undefined;
  /** It was accepted, and later nobody knew it. */
  readonly gone: boolean;
  /** Every id that a 202 gave for the key. */
  readonly ids: readonly string[];
  readonly attempts: number;
  readonly status: number;
  readonly code: string;
  readonly results: readonly ItemEntry[];
}

export type LedgerEntry = RequestEntry | JobEntry;
