/** The jobs that are accepted and not done: what still waits to be run. */

import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
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

const PAGE = 1_000;
const EXPIRES_MS = 2_000;

/** Of all tenants. Faults: those of any storage call. A record of another form is left out. */
export async function readOpenJobs(
  connection: NatsConnection,
): Promise<Result<readonly JobRecord[], Fault>> {
  const client = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
  try {
    const consumer = await client.consumers.get(`KV_${JOB_STATE_BUCKET}`, {
      deliver_policy: DeliverPolicy.LastPerSubject,
    });
    const { num_pending: pending } = await consumer.info();
    const open: JobRecord[] = [];
    for (let read = 0; read < pending;) {
      const before = read;
      const max_messages = Math.min(PAGE, pending - read);
      for await (const message of await consumer.fetch({ max_messages, expires: EXPIRES_MS })) {
        read++;
        if (message.headers?.has("KV-Operation") ?? false) continue;
        const record = decodeJson(jobRecordSchema, message.data);
        if (record.ok && record.value.state === "queued") open.push(record.value);
      }
      // What was changed meanwhile comes no more in its place.
      if (read === before) break;
    }
    return ok(open);
  } catch (error) {
    return fail(storageFault(error, "reading the jobs that are open"));
  }
}
