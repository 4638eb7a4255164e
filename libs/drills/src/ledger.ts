/**
 * The ledger: what became of every request and every job, as its client saw it. Times are
 * microseconds since the start of the load.
 */

import type { Priority } from "@millrace/protocol";

/**
 * How a request ended. `answered`: 200, in time or not. `refused`: any other status. `unreached`:
 * no ingress took its connection until its deadline. `unknown`: a connection broke before the
 * status came, and no further attempt had one either.
 */
export type Ending = "answered" | "refused" | "unreached" | "unknown";

export interface LedgerRequest {
  readonly id: string;
  readonly tenant: number;
  readonly model: string;
  readonly priority: Priority;
  /** When it was to be sent, whether or not the client kept up: latency counts from here. */
  readonly intendedUs: number;
  readonly sentUs: number;
  readonly endedUs: number;
  /** The time that it was given. */
  readonly budgetUs: number;
  /** Connections on which it was sent, refused ones included. */
  readonly attempts: number;
  /** Made so that no model can run it: only a 4xx is right. */
  readonly poison: boolean;
  readonly ending: Ending;
  /** 0 where there was none. */
  readonly status: number;
  /** Of the error catalogue; empty where there was none. */
  readonly code: string;
  /** Which question this is, and which one's reference the answer equals; empty for none. */
  readonly question: string;
  readonly matched: string;
}

export interface LedgerItem {
  readonly index: number;
  readonly ok: boolean;
  readonly code: string;
  /** As of a request. */
  readonly question: string;
  readonly matched: string;
}

export interface LedgerJob {
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly tenant: number;
  readonly items: number;
  readonly submittedUs: number;
  /** Of the first 202; undefined where there was none, and nothing was promised. */
  readonly acceptedUs: number | undefined;
  readonly endedUs: number | undefined;
  /** It was accepted, and later nobody knew it. */
  readonly gone: boolean;
  /** Every id that a 202 gave for the key: one, or it was accepted twice. */
  readonly ids: readonly string[];
  /** Connections on which it was submitted. */
  readonly attempts: number;
  /** The last status and code of a submission that was never accepted. */
  readonly status: number;
  readonly code: string;
  /** What its results say, one entry for each line of them. */
  readonly results: readonly LedgerItem[];
}

/** How a request counts. */
export type Verdict = "right" | "limited" | "shed" | "poison-refused" | "failed";

/** Microseconds since the start of the load. */
export interface Span {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Refusals that say that there is too much to do, and not that something broke. */
const SHEDDING: readonly string[] = ["OVERLOADED", "QUEUE_FULL", "DEADLINE_UNREACHABLE"];

/** A timer's turn and the way back, on a busy machine. */
export const LATE_SLACK_US = 250_000;

/**
 * 4xx for a poison input is right, 429 is a limit and no failure; all else that is no right answer
 * in time is a failure: 503, a missed deadline, a wrong answer, a good input that was refused.
 * @param shedding times in which more is asked on purpose than there is: a refusal is right then.
 */
export function verdictOf(request: LedgerRequest, shedding: readonly Span[] = []): Verdict {
  const { ending, status, poison, intendedUs } = request;
  if (status === 429) return "limited";
  if (poison) return status >= 400 && status < 500 ? "poison-refused" : "failed";
  if (ending === "refused" && SHEDDING.includes(request.code)) {
    const isDue = shedding.some(({ fromUs, toUs }) => intendedUs >= fromUs && intendedUs < toUs);
    if (isDue) return "shed";
  }
  if (ending !== "answered" || request.matched !== request.question) return "failed";
  const late = request.endedUs - request.intendedUs > request.budgetUs + LATE_SLACK_US;
  return late ? "failed" : "right";
}
