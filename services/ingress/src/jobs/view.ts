/** What clients see of a job. */

import { isAccepted } from "@millrace/jobs";
import type { JobRecord, JobView } from "@millrace/protocol";

/** Undefined before it was accepted: nobody was told of it yet. */
export function viewJob(record: JobRecord): JobView | undefined {
  const { id, model, version, state, items, finishedItems, failedItems, endedAtMs } = record;
  if (!isAccepted(record) || state === "receiving") return undefined;
  return {
    id,
    model,
    ...(version === undefined ? {} : { version }),
    state: state === "queued" && finishedItems > 0 ? "running" : state,
    items: { total: items, done: finishedItems - failedItems, failed: failedItems },
    created_at: new Date(record.createdAtMs).toISOString(),
    ...(endedAtMs === undefined ? {} : { ended_at: new Date(endedAtMs).toISOString() }),
  };
}
