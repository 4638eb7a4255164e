/** I2: an answer belongs to its own request, and so does a verdict on an input. */

import type { Checker, Report } from "./checker.ts";

/** Holds where every input carries its request's id, and the model gives back its input. */
export function checkOwnAnswer(report: Report): Checker {
  const foreign = new Map<string, readonly string[]>();
  return {
    invariant: "I2",
    handlers: {
      requestAdmitted({ request, foreign: codes }) {
        if (codes !== undefined) foreign.set(request, codes);
      },
      requestSettled({ request, outcome }, atUs) {
        const codes = foreign.get(request);
        foreign.delete(request);
        if (!outcome.ok) {
          if (!codes?.includes(outcome.code)) return;
          report(atUs, `request ${request} was told ${outcome.code}, for the input of another`);
        } else if (outcome.content !== request) {
          report(atUs, `request ${request} was answered with the result of ${outcome.content}`);
        }
      },
    },
  };
}
