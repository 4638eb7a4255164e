/**
 * What is tried again, when, and when it is given up. What the cluster cannot serve now costs a
 * chunk nothing: it waits. What may be the item's own doing is tried a few times. A chunk that was
 * delivered too often without a result took its runners with it, and is given up unrun.
 */

import { type ErrorCode, ERRORS } from "@millrace/protocol";

/** Tries of an item that may itself be what its devices fail of; each is several at the ingress. */
export const SUSPECT_TRIES_MAX = 5;
/** Deliveries of a chunk, those not counted that ended in a wait. */
export const DELIVERIES_MAX = 5;
/** Longest time for which one delivery waits for a cluster that serves none of its items. */
export const PATIENCE_US = 15_000_000;

const ITEM_BACKOFF_US = 100_000;
const ITEM_BACKOFF_US_MAX = 3_000_000;
const CHUNK_BACKOFF_US = 1_000_000;
const CHUNK_BACKOFF_US_MAX = 30_000_000;

/** Retryable failures that name a device and its work, not the cluster's want of devices. */
const SUSPECT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "WORKER_LOST",
  "EXECUTION_FAILED",
  "OUT_OF_MEMORY",
]);

/** `final`: its result. `suspect`: try again, a few times. `wait`: until it can be served. */
export type Verdict = "final" | "suspect" | "wait";

export function judge(code: ErrorCode): Verdict {
  if (ERRORS[code].retry === "never") return "final";
  return SUSPECT.has(code) ? "suspect" : "wait";
}

/** Exponential, with equal jitter: half of it is fixed, half is drawn. */
const delay = (attempt: number, firstUs: number, mostUs: number, chance: number): number => {
  const fullUs = Math.min(mostUs, firstUs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return Math.round(fullUs / 2 + (fullUs / 2) * chance);
};

/** Before an item's next try. @param attempt from 1. @param chance in [0, 1). */
export const itemDelayUs = (attempt: number, chance: number): number =>
  delay(attempt, ITEM_BACKOFF_US, ITEM_BACKOFF_US_MAX, chance);

/** Before a chunk is delivered again. @param waits of its job so far. */
export const chunkDelayUs = (waits: number, chance: number): number =>
  delay(waits, CHUNK_BACKOFF_US, CHUNK_BACKOFF_US_MAX, chance);

/**
 * Whether to give a chunk up, and why.
 * @param deliveries this one included.
 * @param waits deliveries of the job's chunks that ended in a wait.
 * @param ageUs since it was put into the queue; past `ageUsMax` nobody waits for it any more.
 */
export function giveUp(
  deliveries: number,
  waits: number,
  ageUs: number,
  ageUsMax: number,
): string | undefined {
  if (deliveries > DELIVERIES_MAX + waits) {
    return `${deliveries} deliveries without a result: whoever ran it was lost each time`;
  }
  if (ageUs > ageUsMax) return "the cluster could not serve it for as long as jobs are kept";
  return undefined;
}
