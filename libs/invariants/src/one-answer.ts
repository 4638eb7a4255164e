/** I1: every admitted request ends in exactly one answer, by its deadline. */

import type { Checker, Report } from "./checker.ts";

interface Owed {
  readonly ingress: string;
  readonly deadlineUs: number;
}

/**
 * @param slackUs what a timer and a turn of the event loop may add to a deadline.
 */
export function checkOneAnswer(report: Report, slackUs: number): Checker {
  const open = new Map<string, Owed>();
  const ended = new Map<string, string>();
  const resumedUs = new Map<string, number>();
  const dueUs = ({ ingress, deadlineUs }: Owed): number =>
    Math.max(deadlineUs, resumedUs.get(ingress) ?? 0) + slackUs;
  const end = (request: string, how: string): void => {
    open.delete(request);
    ended.set(request, how);
  };
  return {
    invariant: "I1",
    handlers: {
      requestAdmitted({ request, ingress, deadlineUs }) {
        open.set(request, { ingress, deadlineUs });
      },
      requestSettled({ request, outcome }, atUs) {
        const said = outcome.ok ? "a result" : outcome.code;
        const before = ended.get(request);
        const owed = open.get(request);
        if (before !== undefined) {
          report(atUs, `request ${request} was answered with ${said} after ${before}`);
        } else if (owed === undefined) {
          report(atUs, `request ${request} was answered with ${said} and never admitted`);
        } else if (atUs > dueUs(owed)) {
          const lateUs = atUs - owed.deadlineUs;
          report(atUs, `request ${request} was answered ${lateUs} us after its deadline`);
        }
        end(request, said);
      },
      requestAbandoned({ request }) {
        end(request, "its client had gone");
      },
      processEnded({ process, asked }, atUs) {
        for (const [request, { ingress }] of open) {
          if (ingress !== process) continue;
          if (asked === true) {
            report(atUs, `${process} ended as it was asked to, and left request ${request}`);
          }
          end(request, "its ingress had ended");
        }
      },
      processResumed({ process }, atUs) {
        resumedUs.set(process, atUs);
      },
    },
    finish(nowUs) {
      for (const [request, owed] of open) {
        if (nowUs > dueUs(owed)) report(nowUs, `request ${request} was never answered`);
      }
    },
  };
}
