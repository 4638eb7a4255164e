/** I7: a healed cluster is back at its objective: it serves what it is owed, and comes to rest. */

import type { Checker, Report } from "./checker.ts";

/** @param isExcused whether what is done to the cluster at present excuses this failure. */
export function checkRecovery(
  report: Report,
  isExcused: (code: string) => boolean = () => false,
): Checker {
  const owed = new Map<string, string>();
  return {
    invariant: "I7",
    handlers: {
      requestAdmitted({ request, ingress, owed: isOwed }) {
        if (isOwed) owed.set(request, ingress);
      },
      requestSettled({ request, outcome }, atUs) {
        if (!owed.delete(request) || outcome.ok || isExcused(outcome.code)) return;
        report(atUs, `request ${request} failed with ${outcome.code}, and nothing excused it`);
      },
      requestAbandoned({ request }) {
        owed.delete(request);
      },
      processEnded({ process }) {
        for (const [request, ingress] of owed) if (ingress === process) owed.delete(request);
      },
      restRead({ process, what, value }, atUs) {
        if (value > 0) report(atUs, `${process} still holds ${value} ${what} when all is over`);
      },
    },
  };
}
