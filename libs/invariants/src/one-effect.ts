/** I5: an accepted job is done exactly once in effect. */

import type { Checker, Report } from "./checker.ts";

interface Accepted {
  readonly items: number;
  readonly seen: Set<number>;
  ended: boolean;
}

/** Holds where every input carries its place, and the model gives back its input. */
export function checkOneEffect(report: Report): Checker {
  const jobs = new Map<string, Accepted>();
  const byKey = new Map<string, string>();
  return {
    invariant: "I5",
    handlers: {
      jobAccepted({ job, key, items }, atUs) {
        const before = byKey.get(key);
        if (before !== undefined && before !== job) {
          report(atUs, `job ${key} was accepted twice, as ${before} and as ${job}`);
        }
        byKey.set(key, job);
        if (!jobs.has(job)) jobs.set(job, { items, seen: new Set(), ended: false });
      },
      jobItemRead({ job, item, content, failed }, atUs) {
        const accepted = jobs.get(job);
        if (accepted === undefined) {
          report(atUs, `job ${job} has a result and was never accepted`);
        } else if (accepted.seen.has(item) || item >= accepted.items) {
          report(atUs, `item ${item} of job ${job} has a result too many`);
        } else {
          accepted.seen.add(item);
        }
        if (failed !== undefined) {
          report(atUs, `item ${item} of job ${job} failed with ${failed}, and its input is good`);
        }
        if (content !== undefined && content !== `${job}/${item}`) {
          report(atUs, `item ${item} of job ${job} has the result of ${content}`);
        }
      },
      jobEnded({ job }) {
        const accepted = jobs.get(job);
        if (accepted !== undefined) accepted.ended = true;
      },
    },
    finish(nowUs) {
      for (const [job, { items, seen, ended }] of jobs) {
        if (!ended) report(nowUs, `job ${job} was accepted and never ended`);
        else if (seen.size < items) {
          report(nowUs, `job ${job} ended, and ${items - seen.size} of ${items} results are lost`);
        }
      }
    },
  };
}
