/**
 * Whether the ingresses kept to their budget of retries and hedges in a drill that uses it up: an
 * exact count against what the budget may give, from the start of the load to its end. What is sent
 * again for a lost scheduler is outside that budget, and is counted here all the same.
 */

import type { RetryBudgetObjective } from "./drill.ts";
import type { Attempts } from "./overload.ts";

export interface RetryBudgetFigures {
  /** Tickets beyond the first of each request. */
  readonly repeated: number;
  /** What the budget gives at most for so many requests in that time. */
  readonly allowed: number;
  /** Retries and hedges that were wanted and not sent. */
  readonly denied: number;
}

/** Undefined where the ingresses did not say. */
export function retryBudgetFigures(
  { share, perSecond, burst }: RetryBudgetObjective,
  ingresses: number,
  attempts: Attempts | undefined,
  lastedUs: number,
): RetryBudgetFigures | undefined {
  if (attempts === undefined || attempts.requests === 0) return undefined;
  const { requests, repeated, denied } = attempts;
  const ofTime = ingresses * (burst + (perSecond * lastedUs) / 1e6);
  return { repeated, allowed: Math.floor(share * requests + ofTime), denied };
}
