/** I8: nothing is served from bytes whose digest was not checked, nor from those of before. */

import type { Checker, Report } from "./checker.ts";

interface Registered {
  readonly digest: string;
  untilUs: number;
}

interface Admitted {
  readonly model: string;
  readonly atUs: number;
}

/**
 * @param graceUs what word of a change may take to whoever serves: a request that comes with it may
 *   still be served from the bytes of before.
 */
export function checkCheckedBytes(report: Report, graceUs: number): Checker {
  const registered = new Map<string, Registered[]>();
  const admitted = new Map<string, Admitted>();
  return {
    invariant: "I8",
    handlers: {
      bytesRegistered({ model, digest }, atUs) {
        const history = registered.get(model) ?? [];
        const last = history.at(-1);
        if (last !== undefined) last.untilUs = atUs;
        history.push({ digest, untilUs: Infinity });
        registered.set(model, history);
      },
      requestAdmitted({ request, model }, atUs) {
        if (model !== undefined) admitted.set(request, { model, atUs });
      },
      requestSettled({ request, outcome }, atUs) {
        const asked = admitted.get(request);
        admitted.delete(request);
        if (asked === undefined || !outcome.ok || outcome.servedBy === undefined) return;
        const { servedBy } = outcome;
        const valid = (registered.get(asked.model) ?? []).some(
          ({ digest, untilUs }) => digest === servedBy && untilUs >= asked.atUs - graceUs,
        );
        if (valid) return;
        report(atUs, `request ${request} for ${asked.model} was served from bytes ${servedBy}`);
      },
    },
  };
}
