/**
 * The rule of thumb that teams start with: so many workers above a load, so many below another. It
 * is here to be compared with: even with a perfect forecast it fails several per cent of requests,
 * because everything between its two bounds gets the same fleet.
 */

import { assert } from "@millrace/std";

export interface StepRule {
  /** Bounds falling, each with the workers above it. */
  readonly steps: readonly { readonly above: number; readonly workers: number }[];
  /** Below the last bound. */
  readonly otherwise: number;
}

/** Above 1000 requests a second 10 workers, below 200 two, between them five. */
export const STEP_RULE: StepRule = {
  steps: [
    { above: 1_000, workers: 10 },
    { above: 200, workers: 5 },
  ],
  otherwise: 2,
};

export function workersByRule(rule: StepRule, requestsPerSecond: number): number {
  rule.steps.forEach(({ above }, at) => {
    const before = rule.steps[at - 1];
    assert(before === undefined || above < before.above, "the bounds of a step rule fall");
  });
  return rule.steps.find(({ above }) => requestsPerSecond > above)?.workers ?? rule.otherwise;
}
