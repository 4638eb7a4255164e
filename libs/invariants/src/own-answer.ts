/** I2: an answer belongs to its own request. */

import type { Checker, Report } from "./checker.ts";

/** Holds where every input carries its request's id, and the model gives back its input. */
export const checkOwnAnswer = (report: Report): Checker => ({
  invariant: "I2",
  handlers: {
    requestSettled({ request, outcome }, atUs) {
      if (!outcome.ok || outcome.content === request) return;
      report(atUs, `request ${request} was answered with the result of ${outcome.content}`);
    },
  },
});
