/**
 * Results of chunks: the first write of each stands (I5), whoever it was that ran the chunk. What
 * is larger than a message is an object, and the message says which. Dead letters go by the same
 * rule.
 */

import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { type JetStreamClient, JetStreamApiError } from "@nats-io/jetstream";
import {
  type Fault,
  fault,
  JOB_RESULT_STREAM,
  RESULT_BYTES_MAX,
  subjects,
} from "@millrace/protocol";
import { assert, fail, ok, type Result } from "@millrace/std";
import { CALL_MS_MAX } from "../storage.ts";
import { persist } from "./calls.ts";
import type { JobObjects } from "./job-objects.ts";

/** Which chunk: its token is `chunkToken(generation, chunk)`. */
export interface ChunkKey {
  readonly tenant: string;
  readonly job: string;
  readonly token: string;
}

export interface ChunkCounts {
  readonly items: number;
  readonly failed: number;
  /** The chunk was given up. */
  readonly dead: boolean;
}

export interface JobResults {
  /** The counts of what stands afterwards: an earlier write's, where there was one. */
  write(key: ChunkKey, counts: ChunkCounts, lines: Uint8Array): Promise<Result<ChunkCounts, Fault>>;
  /** The counts of what stands; undefined where nothing does. */
  find(key: ChunkKey): Promise<Result<ChunkCounts | undefined, Fault>>;
  /** The lines as they were written; undefined where there are none. */
  read(key: ChunkKey): Promise<Result<Uint8Array | undefined, Fault>>;
  /** Files a chunk that was given up; once. */
  bury(key: ChunkKey, reason: Fault, chunk: Uint8Array): Promise<Result<void, Fault>>;
}

const ITEMS = "Millrace-Items";
const FAILED = "Millrace-Failed";
const DEAD = "Millrace-Dead";
const OBJECT = "Millrace-Object";
export const DEAD_CODE = "Millrace-Code";
export const DEAD_REASON = "Millrace-Reason";

const NO_MESSAGE = 10037;
const NO_BYTES = new Uint8Array(0);

export class StreamResults implements JobResults {
  readonly #client: JetStreamClient;
  readonly #objects: JobObjects;
  readonly #ttl: string;

  /** @param lifeMs after which results expire, counted from their write. */
  constructor(client: JetStreamClient, objects: JobObjects, lifeMs: number) {
    this.#client = client;
    this.#objects = objects;
    this.#ttl = `${Math.ceil(lifeMs / 1000)}s`;
  }

  async write(
    key: ChunkKey,
    counts: ChunkCounts,
    lines: Uint8Array,
  ): Promise<Result<ChunkCounts, Fault>> {
    const head = headers();
    head.set(ITEMS, String(counts.items));
    head.set(FAILED, String(counts.failed));
    head.set(DEAD, String(counts.dead));
    let body = lines;
    if (lines.length > RESULT_BYTES_MAX) {
      // By content: whoever writes the same results writes the same object.
      const stored = await this.#objects.put(key.tenant, lines);
      if (!stored.ok) return stored;
      head.set(OBJECT, stored.value);
      body = NO_BYTES;
    }
    const written = await persist("writing results", () =>
      this.#client.publish(subjectOf(key), body, {
        headers: head,
        ttl: this.#ttl,
        expect: { lastSubjectSequence: 0 },
        timeout: CALL_MS_MAX,
      }),
    );
    if (!written.ok) return written;
    if (written.value !== "conflict") return ok(counts);
    // Somebody else's, or this one's own first try, whose answer was lost.
    const standing = await this.find(key);
    if (!standing.ok) return standing;
    return ok(standing.value ?? counts);
  }

  async find(key: ChunkKey): Promise<Result<ChunkCounts | undefined, Fault>> {
    const message = await this.#last(key);
    if (!message.ok || message.value === undefined) return message as Result<undefined, Fault>;
    return ok(countsOf(message.value.head));
  }

  async read(key: ChunkKey): Promise<Result<Uint8Array | undefined, Fault>> {
    const message = await this.#last(key);
    if (!message.ok || message.value === undefined) return message as Result<undefined, Fault>;
    const object = message.value.head.get(OBJECT);
    return object === "" ? ok(message.value.bytes) : this.#objects.read(key.tenant, object);
  }

  async bury(key: ChunkKey, reason: Fault, chunk: Uint8Array): Promise<Result<void, Fault>> {
    const head = headers();
    head.set(DEAD_CODE, reason.code);
    // Headers are single lines.
    head.set(DEAD_REASON, reason.message.replace(/[\r\n]+/g, " ").slice(0, 500));
    const { tenant, job, token } = key;
    const buried = await persist("filing a dead letter", () =>
      this.#client.publish(subjects.jobDead(tenant, job, token), chunk, {
        headers: head,
        expect: { lastSubjectSequence: 0 },
        timeout: CALL_MS_MAX,
      }),
    );
    return buried.ok ? ok(undefined) : buried;
  }

  async #last(
    key: ChunkKey,
  ): Promise<Result<{ head: MsgHdrs; bytes: Uint8Array } | undefined, Fault>> {
    const found = await persist("reading results", async () => {
      const { streams } = await this.#client.jetstreamManager(false);
      try {
        return await streams.getMessage(JOB_RESULT_STREAM, { last_by_subj: subjectOf(key) });
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) return null;
        throw error;
      }
    });
    if (!found.ok) return found;
    assert(found.value !== "conflict", "a read conflicts with nothing");
    if (found.value === null) return ok(undefined);
    const { header, data } = found.value;
    if (header === undefined) return fail(fault("INTERNAL", "results without a head"));
    return ok({ head: header, bytes: data });
  }
}

const countsOf = (head: MsgHdrs): ChunkCounts => ({
  items: Number(head.get(ITEMS)),
  failed: Number(head.get(FAILED)),
  dead: head.get(DEAD) === "true",
});

const subjectOf = ({ tenant, job, token }: ChunkKey): string =>
  subjects.jobResult(tenant, job, token);
