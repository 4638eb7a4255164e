/** The streams and buckets of durable jobs: what they keep, for how long, and how much (I6). */

import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import {
  DEAD_STREAM,
  JOB_CONSUMER,
  JOB_HOOK_STREAM,
  JOB_LANES,
  JOB_OBJECT_BUCKET,
  JOB_RESULT_STREAM,
  JOB_STATE_BUCKET,
  JOB_STREAM,
  jobLaneConsumer,
  RECEIVING_MS_MAX,
  subjects,
} from "@millrace/protocol";

const MIB = 1024 ** 2;
const SECOND_NS = 1_000_000_000;
const HOUR_MS = 3_600_000;
/** Longer than any writer goes on trying with the same id. */
const DUPLICATE_WINDOW_S = 600;
/** A lost runner's chunk is delivered again after this; runners say sooner that they work. */
export const ACK_WAIT_MS = 5_000;
/** Chunks out at a time, over all ingresses, and those that were given back for later. */
const ACK_PENDING_MAX = 65_536;
/** Markers of what expired are themselves kept so long. */
const MARKER_MS = 60_000;
const DEAD_DAYS = 7;

export interface JobStorageOptions {
  /** Copies of each stream, for a NATS cluster. */
  readonly replicas: number;
  /** Chunks of one tenant for one model that may wait. Default 8,192. */
  readonly queuedChunksMax?: number;
}

/** An ended job is kept so long at most. */
const KEPT_MS_MAX = 48 * HOUR_MS;
const QUEUED_CHUNKS_MAX = 8_192;

/**
 * How long the results of a chunk are kept from their write on: a job's first may be written before
 * all of it was received, its last when its chunks have waited for `keptMs`, and all of them are
 * there for `keptMs` after its end.
 */
export const resultLifeMs = (keptMs: number): number => RECEIVING_MS_MAX + 2 * keptMs;

type Sketch = Pick<StreamConfig, "name" | "subjects"> & Partial<StreamConfig>;

const streamsOf = (queuedChunksMax: number): readonly Sketch[] => [
  {
    name: JOB_STREAM,
    subjects: [subjects.job("*", "*")],
    retention: RetentionPolicy.Workqueue,
    max_msgs_per_subject: queuedChunksMax,
    discard_new_per_subject: true,
    max_bytes: 2048 * MIB,
  },
  {
    name: JOB_HOOK_STREAM,
    subjects: [subjects.jobHook("*", "*")],
    retention: RetentionPolicy.Workqueue,
    max_age: KEPT_MS_MAX * 1e6,
    max_bytes: 64 * MIB,
  },
  {
    name: JOB_RESULT_STREAM,
    subjects: [subjects.jobResult("*", "*", "*")],
    // Each message says its own, which is this at most.
    max_age: resultLifeMs(KEPT_MS_MAX) * 1e6,
    allow_msg_ttl: true,
    max_bytes: 2048 * MIB,
  },
  {
    name: DEAD_STREAM,
    subjects: [subjects.jobDead("*", "*", "*")],
    max_age: DEAD_DAYS * 24 * HOUR_MS * 1e6,
    max_bytes: 256 * MIB,
  },
];

/** Makes what is missing, and leaves what is there; needs the rights of `admin`. */
export async function createJobStorage(
  client: JetStreamClient,
  options: JobStorageOptions,
): Promise<void> {
  const { replicas, queuedChunksMax = QUEUED_CHUNKS_MAX } = options;
  const storage = StorageType.File;
  const { consumers, streams } = await client.jetstreamManager(false);
  for (const stream of streamsOf(queuedChunksMax)) {
    if (await isThere(() => streams.info(stream.name))) continue;
    await streams.add({
      storage,
      num_replicas: replicas,
      discard: DiscardPolicy.New,
      duplicate_window: DUPLICATE_WINDOW_S * SECOND_NS,
      ...stream,
    });
  }
  const consume = async (stream: string, name: string, filter?: string): Promise<void> => {
    if (await isThere(() => consumers.info(stream, name))) return;
    await consumers.add(stream, {
      durable_name: name,
      ...(filter === undefined ? {} : { filter_subject: filter }),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ACK_WAIT_MS * 1e6,
      // Runners decide when it has been enough: what a server gives up stays in the queue for ever.
      max_deliver: -1,
      max_ack_pending: ACK_PENDING_MAX,
    });
  };
  const lanes = Array.from({ length: JOB_LANES }, (_, lane) =>
    consume(JOB_STREAM, jobLaneConsumer(lane), subjects.jobLane(lane)),
  );
  await Promise.all([...lanes, consume(JOB_HOOK_STREAM, JOB_CONSUMER)]);
  await new Kvm(client).create(JOB_STATE_BUCKET, {
    history: 1,
    replicas,
    storage,
    allow_direct: false,
    max_bytes: 256 * MIB,
    // Records of ended jobs expire by themselves.
    markerTTL: MARKER_MS,
  });
  await new Objm(client).create(JOB_OBJECT_BUCKET, {
    replicas,
    storage,
    // Large results are here.
    ttl: resultLifeMs(KEPT_MS_MAX) * 1e6,
    max_bytes: 2048 * MIB,
  });
}

const NOT_FOUND = 404;

/** What was made with other choices stays as it is: it holds jobs. */
async function isThere(info: () => Promise<unknown>): Promise<boolean> {
  try {
    await info();
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === NOT_FOUND) return false;
    throw error;
  }
}
