/** Opens the storage of durable jobs on a NATS connection. */

import { jetstream, type JetStreamClient } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import type { NatsConnection } from "@nats-io/transport-node";
import {
  FaultError,
  JOB_CONSUMER,
  JOB_HOOK_STREAM,
  JOB_OBJECT_BUCKET,
  JOB_STATE_BUCKET,
} from "@millrace/protocol";
import { CALL_MS_MAX, storageFault } from "../storage.ts";
import { DeadLetters } from "./dead-letters.ts";
import { BucketObjects, type JobObjects } from "./job-objects.ts";
import { type JobRecords, KvJobRecords } from "./job-records.ts";
import { type JobResults, StreamResults } from "./job-results.ts";
import { resultLifeMs } from "./job-streams.ts";
import { type FairQueue, LaneQueue } from "./lane-queue.ts";
import { StreamQueue, type WorkQueue } from "./work-queue.ts";

export interface JobStore {
  readonly records: JobRecords;
  /** Chunks to run, of one tenant after the other. */
  readonly queue: FairQueue;
  /** Webhooks to send. */
  readonly hooks: WorkQueue;
  readonly results: JobResults;
  readonly objects: JobObjects;
  /** For `admin` alone. */
  readonly dead: DeadLetters;
}

/** How long ended jobs are kept, and chunks wait at most, unless it is said otherwise. */
const KEPT_MS = 24 * 3_600_000;

/**
 * Asks nothing of the server yet, so a service starts before its storage.
 * @throws FaultError when even that fails.
 */
export async function openJobStore(
  connection: NatsConnection,
  { keptMs = KEPT_MS }: { readonly keptMs?: number } = {},
): Promise<JobStore> {
  const client: JetStreamClient = jetstream(connection, { timeout: CALL_MS_MAX, checkAPI: false });
  try {
    const bucket = await new Kvm(client).open(JOB_STATE_BUCKET, {
      allow_direct: false,
      timeout: CALL_MS_MAX,
    });
    const objects = new BucketObjects(
      client,
      await new Objm(client).open(JOB_OBJECT_BUCKET, false),
    );
    const records = new KvJobRecords(client, bucket);
    return {
      records,
      queue: new LaneQueue(client),
      hooks: new StreamQueue(client, JOB_HOOK_STREAM, JOB_CONSUMER),
      results: new StreamResults(client, objects, resultLifeMs(keptMs)),
      objects,
      dead: new DeadLetters(client),
    };
  } catch (error) {
    const { code, message } = storageFault(error, "opening the storage of jobs");
    throw new FaultError(code, message, { cause: error });
  }
}
