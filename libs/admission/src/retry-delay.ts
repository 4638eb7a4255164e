/** How long a failed attempt waits for the next one. */

import type { ErrorCode } from "@millrace/protocol";
import type { Random } from "@millrace/std";
import type { IngressOptions } from "./options.ts";

export interface FailedAttempt {
  readonly code: ErrorCode;
  /** The scheduler that had it still owns the model. */
  readonly isOwner: boolean;
  /** It is the scheduler that says so, and not the worker. */
  readonly bySchedulerItself: boolean;
  /** Attempts so far. */
  readonly tries: number;
  readonly leftUs: number;
}

/**
 * At once where waiting helps nobody: the device is gone, or another scheduler owns the model. A
 * worker that says itself that it is lost may be known as such to its scheduler a little later. Who
 * lost two in a row waits: the cluster has other troubles. Memory comes free in its own time: after
 * a first look elsewhere, the attempts that are left are spread over the deadline.
 */
export function retryDelayUs(
  { bySchedulerItself, code, isOwner, leftUs, tries }: FailedAttempt,
  { attemptsMax, backoffUs, backoffUsMax }: IngressOptions,
  random: Random,
): number {
  if (!isOwner) return 0;
  const lost = code === "WORKER_LOST" || code === "BATCH_LOST";
  if (lost && tries === 1) return bySchedulerItself ? 0 : backoffUs;
  if (code === "OUT_OF_MEMORY" && tries > 1) {
    return Math.max(backoffUs, Math.floor(leftUs / (attemptsMax - tries + 2)));
  }
  return 1 + random.below(Math.min(backoffUsMax, backoffUs * 2 ** (tries - 1)));
}
