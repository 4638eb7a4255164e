/** What is known of a durable job, how its parts are named, and the bounds that hold for it. */

import * as v from "valibot";
import { isName, NAME_RULE } from "@millrace/std";

/** Items in one chunk: one message of the queue, done and retried as one. */
export const CHUNK_ITEMS_MAX = 64;
/** A chunk is closed when the next item would make it larger. */
export const CHUNK_BYTES_TARGET = 256 * 1024;
/** One item's JSON: with its chunk's head it fits the 1 MiB that every NATS server accepts. */
export const JOB_ITEM_BYTES_MAX = 960 * 1024;
export const JOB_CHUNKS_MAX = 16_384;
export const JOB_ITEMS_MAX = 1_000_000;
/** A result of a chunk up to this size travels as a message; a larger one is an object. */
export const RESULT_BYTES_MAX = 960 * 1024;
/** All results of one chunk; an item beyond it is OUTPUT_TOO_LARGE. */
export const CHUNK_RESULT_BYTES_MAX = 32 * 1024 * 1024;
/** Jobs on one page of the list. */
export const JOB_PAGE_MAX = 100;
/** A record of a job that is being received goes by itself when nobody completes it. */
export const RECEIVING_MS_MAX = 900_000;

const name = v.pipe(v.string(), v.check(isName, `a name is ${NAME_RULE}`));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits"));

/**
 * `receiving`: its items are still coming, and it may vanish; nobody was told that it was accepted.
 * `queued`: accepted; what was begun and what is left is in the counts. The others are ends.
 */
export const JOB_STATES = ["receiving", "queued", "done", "failed", "cancelled"] as const;
export type JobState = (typeof JOB_STATES)[number];

export const jobRecordSchema = v.object({
  v: v.literal(1),
  id: name,
  tenant: name,
  model: name,
  /** The version that was asked for; absent for the one that answers when an item runs. */
  version: v.optional(positive),
  state: v.picklist(JOB_STATES),
  /** Goes up when the same Idempotency-Key is received afresh: earlier chunks are void. */
  generation: positive,
  createdAtMs: count,
  endedAtMs: v.optional(count),
  items: count,
  chunks: count,
  /** Chunks whose results stand: `0-12,15`. */
  finished: v.string(),
  finishedItems: count,
  failedItems: count,
  deadChunks: count,
  /** Deliveries that ended because the cluster could not serve, which count against no chunk. */
  waits: count,
  /** SHA-256 of what was submitted, to know the same submission again. */
  digest: v.optional(digest),
  webhook: v.optional(v.string()),
});
export type JobRecord = v.InferOutput<typeof jobRecordSchema>;

/** The first line of a chunk's message; each further line is an item or the fault that it has. */
export const chunkHeadSchema = v.object({
  v: v.literal(1),
  tenant: name,
  job: name,
  generation: positive,
  chunk: count,
  model: name,
  version: v.optional(positive),
  /** The place of its first item in the job. */
  first: count,
  items: v.pipe(positive, v.maxValue(CHUNK_ITEMS_MAX)),
});
export type ChunkHead = v.InferOutput<typeof chunkHeadSchema>;

/** A chunk's name within its job, one token of a subject: `<generation>-<chunk>`. */
export const chunkToken = (generation: number, chunk: number): string => `${generation}-${chunk}`;

/** What clients send to `POST /v2/jobs`. */
export const jobRequestSchema = v.strictObject({
  model: name,
  version: v.optional(positive),
  inputs: v.optional(v.array(v.unknown())),
  source: v.optional(v.strictObject({ object: digest })),
  webhook: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(2_048))),
});
export type JobRequest = v.InferOutput<typeof jobRequestSchema>;

/** What clients see of a job. */
export const jobViewSchema = v.object({
  id: v.string(),
  model: v.string(),
  version: v.optional(v.number()),
  state: v.picklist(["queued", "running", "done", "failed", "cancelled"]),
  items: v.object({ total: v.number(), done: v.number(), failed: v.number() }),
  created_at: v.string(),
  ended_at: v.optional(v.string()),
});
export type JobView = v.InferOutput<typeof jobViewSchema>;

export const jobListSchema = v.object({
  jobs: v.array(jobViewSchema),
  /** Give it as `after` for the next page. */
  next: v.optional(v.string()),
});

export type JobList = v.InferOutput<typeof jobListSchema>;

/** A task of the queue of webhooks. */
export const hookTaskSchema = v.object({ v: v.literal(1), tenant: name, job: name });
export type HookTask = v.InferOutput<typeof hookTaskSchema>;
