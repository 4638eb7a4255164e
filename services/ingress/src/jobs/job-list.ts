/** A tenant's jobs in pages, the newest first as far as that can be known cheaply. */

import { type Fault, type JobList, type JobRecord } from "@millrace/protocol";
import { ok, type Result } from "@millrace/std";
import type { JobRecords } from "@millrace/store";
import { viewJob } from "./view.ts";

export interface PageWanted {
  readonly limit: number;
  /** The last job of the page before. */
  readonly after: string | undefined;
}

/**
 * Up to so many jobs are all read, and sorted by their time. More come in the order of their ids,
 * which is that of time too, but for jobs whose ids stand for an Idempotency-Key.
 */
const READ_MAX = 500;
const READS_MAX = 32;

export async function listJobs(
  records: Pick<JobRecords, "read" | "list">,
  tenant: string,
  { limit, after }: PageWanted,
): Promise<Result<JobList, Fault>> {
  const ids = await records.list(tenant);
  if (!ids.ok) return ids;
  const newest = ids.value.toReversed();
  if (newest.length > READ_MAX) {
    const rest = after === undefined ? newest : newest.filter((id) => id < after);
    const page = await readAll(records, tenant, rest.slice(0, limit));
    return page.ok ? ok(pageOf(page.value, limit < rest.length, rest[limit - 1])) : page;
  }
  const read = await readAll(records, tenant, newest);
  if (!read.ok) return read;
  const sorted = read.value.toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  const from = after === undefined ? 0 : 1 + sorted.findIndex(({ id }) => id === after);
  const page = sorted.slice(from, from + limit);
  return ok(pageOf(page, from + limit < sorted.length, page.at(-1)?.id));
}

/** The records that clients may see; those that have expired meanwhile are left out. */
async function readAll(
  records: Pick<JobRecords, "read">,
  tenant: string,
  ids: readonly string[],
): Promise<Result<readonly JobRecord[], Fault>> {
  const found: JobRecord[] = [];
  for (let at = 0; at < ids.length; at += READS_MAX) {
    const some = ids.slice(at, at + READS_MAX);
    for (const read of await Promise.all(some.map((id) => records.read(tenant, id)))) {
      if (!read.ok) return read;
      const { record } = read.value;
      if (record !== undefined && viewJob(record) !== undefined) found.push(record);
    }
  }
  return ok(found);
}

function pageOf(records: readonly JobRecord[], more: boolean, last: string | undefined): JobList {
  const jobs = records.flatMap((record) => viewJob(record) ?? []);
  return more && last !== undefined ? { jobs, next: last } : { jobs };
}
