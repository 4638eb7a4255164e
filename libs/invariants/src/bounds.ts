/** I6: every queue, cache and mailbox has a bound. */

import type { Checker, Report } from "./checker.ts";

export const checkBounds = (report: Report): Checker => ({
  invariant: "I6",
  handlers: {
    levelRead({ process, what, value, max }, atUs) {
      if (value > max) report(atUs, `${process} holds ${value} ${what}, at most ${max} may`);
    },
  },
});
