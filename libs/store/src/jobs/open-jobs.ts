/** The jobs that are accepted and not done: what still waits to be run. */

import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import {
  decodeJson,
  type Fault,
  JOB_STATE_BUCKET,
  type JobRecord,
  jobRecordSchema,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX, storageFault } from "../storage.ts";
import { pagesOf } from "../stream-pages.ts";

/** Of all tenants. Faults: those of any storage call. A record of another form is left out. */
export async function readOpenJobs(
  connection: NatsConnection,
): Promise<Result<readonly JobRecord[], Fault>> {
  try {
    const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
    const { streams } = await client.jetstreamManager(false);
    const open: JobRecord[] = [];
    // The bucket keeps one value of each key.
    for await (const { messages } of pagesOf(streams, { stream: `KV_${JOB_STATE_BUCKET}` })) {
      for (const message of messages) {
        if (message.header.has("KV-Operation")) continue;
        const record = decodeJson(jobRecordSchema, message.data);
        if (record.ok && record.value.state === "queued") open.push(record.value);
      }
    }
    return ok(open);
  } catch (error) {
    return fail(storageFault(error, "reading the jobs that are open"));
  }
}
