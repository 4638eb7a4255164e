/**
 * One job from its first item to its acceptance. Its record is there before its first chunk and
 * says `receiving` until all chunks are in the queue; one compare-and-set then accepts it. So a
 * crash at any point leaves either no accepted job or a whole one (I5): what was never accepted is
 * void, and its record expires.
 */

import {
  begin,
  cancel,
  type Chunk,
  ChunkPacker,
  commit,
  encodeChunk,
  isAccepted,
  type JobDraft,
} from "@millrace/jobs";
import { parseInferRequest, type Signature } from "@millrace/openinference";
import {
  chunkToken,
  type Fault,
  fault,
  JOB_CHUNKS_MAX,
  JOB_ITEM_BYTES_MAX,
  JOB_ITEMS_MAX,
  type JobRecord,
  subjects,
} from "@millrace/protocol";
import { fail, formatBytes, ok, present, type Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import type { CountStored } from "../zones.ts";
import type { Ledger } from "./ledger.ts";

export interface SubmissionOptions {
  readonly store: Pick<JobStore, "records" | "queue">;
  readonly ledger: Pick<Ledger, "keptMs">;
  readonly nowMs: () => number;
  readonly stored: CountStored;
}

/** Chunks that wait for their acknowledgement; each costs the broker a write to its disk. */
export const PUBLISHING_MAX = 8;
const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

export class Submission {
  readonly #options: SubmissionOptions;
  readonly #record: JobRecord;
  readonly #signature: Signature;
  readonly #packer: ChunkPacker;
  readonly #publishing = new Set<Promise<void>>();
  #failure: Fault | undefined;

  /** JOB_CONFLICT where the job was accepted before; the faults of the store. */
  static async begin(
    options: SubmissionOptions,
    draft: JobDraft,
    signature: Signature,
  ): Promise<Result<Submission, Fault>> {
    const { store, ledger, nowMs } = options;
    const begun = await store.records.update(
      draft.tenant,
      draft.id,
      (before) => begin(before, draft, nowMs()),
      ledger.keptMs,
    );
    if (!begun.ok) return begun;
    return ok(new Submission(options, present(begun.value, "a begun job"), signature));
  }

  private constructor(options: SubmissionOptions, record: JobRecord, signature: Signature) {
    this.#options = options;
    this.#record = record;
    this.#signature = signature;
    const { tenant, id: job, generation, model, version } = record;
    this.#packer = new ChunkPacker({
      tenant,
      job,
      generation,
      model,
      ...(version === undefined ? {} : { version }),
    });
  }

  get items(): number {
    return this.#packer.items;
  }

  /** JSON of one inference request; what is wrong with it is its own result, and stops nothing. */
  async add(bytes: Uint8Array): Promise<Result<void, Fault>> {
    if (bytes.length > JOB_ITEM_BYTES_MAX) return this.addTooLong();
    const request = parseInferRequest(this.#signature, bytes, undefined);
    if (!request.ok) return this.#pack(request, 0);
    // It was parsed, so it is UTF-8. Line breaks end items in a chunk; in JSON they are space.
    const json = decoder.decode(bytes).replace(/[\r\n]+/g, " ");
    return this.#pack(ok(json), bytes.length);
  }

  /** An item that nobody kept, because it is longer than any may be. */
  addTooLong(): Promise<Result<void, Fault>> {
    const most = formatBytes(JOB_ITEM_BYTES_MAX);
    const reason = fault("BODY_TOO_LARGE", `an item of a job may have ${most} of JSON`);
    return this.#pack(fail(reason), 0);
  }

  /** An item that is a value already. */
  addValue(value: unknown): Promise<Result<void, Fault>> {
    return this.add(encoder.encode(JSON.stringify(value)));
  }

  /** Everything is there: the job is accepted when this is ok, and only then. */
  async accept(digest: string): Promise<Result<JobRecord, Fault>> {
    const last = this.#packer.close();
    if (last !== undefined) await this.#publish(last);
    await Promise.all(this.#publishing);
    if (this.#failure !== undefined) return fail(this.#failure);
    const { items, chunks } = this.#packer;
    if (items === 0) return fail(fault("INVALID_REQUEST", "a job needs at least one input"));
    const { store, ledger, nowMs } = this.#options;
    const { tenant, id, generation } = this.#record;
    const submitted = { generation, items, chunks, digest };
    const accepted = await store.records.update(
      tenant,
      id,
      (record) => commit(record, submitted, nowMs()),
      ledger.keptMs,
    );
    return accepted.ok ? ok(present(accepted.value, "an accepted job")) : accepted;
  }

  /** Not accepted: its chunks are void. */
  async withdraw(): Promise<void> {
    const { store, ledger, nowMs } = this.#options;
    const { tenant, id, generation } = this.#record;
    await store.records.update(
      tenant,
      id,
      (record) => {
        const isOwn = record?.generation === generation && !isAccepted(record);
        return ok(isOwn ? cancel(record, nowMs()) : record);
      },
      ledger.keptMs,
    );
  }

  async #pack(item: Result<string, Fault>, bytes: number): Promise<Result<void, Fault>> {
    if (this.items >= JOB_ITEMS_MAX || this.#packer.chunks >= JOB_CHUNKS_MAX) {
      const message = `a job may have ${JOB_ITEMS_MAX} items in ${JOB_CHUNKS_MAX} chunks`;
      return fail(fault("BODY_TOO_LARGE", message));
    }
    const packed = item.ok ? { ok: true as const, json: item.value } : item;
    const chunk = this.#packer.add(packed, bytes);
    if (chunk !== undefined) await this.#publish(chunk);
    return this.#failure === undefined ? ok(undefined) : fail(this.#failure);
  }

  /** Resolves when there is room for one more. */
  async #publish(chunk: Chunk): Promise<void> {
    const { tenant, job, model, generation, chunk: number } = chunk.head;
    const subject = subjects.job(tenant, model);
    const once = `${tenant}:${job}:${chunkToken(generation, number)}`;
    const bytes = encodeChunk(chunk);
    this.#options.stored(chunk.head, bytes.length);
    const add = async (): Promise<void> => {
      const added = await this.#options.store.queue.add(subject, once, bytes);
      if (!added.ok) this.#failure ??= added.error;
      this.#publishing.delete(publishing);
    };
    const publishing = add();
    this.#publishing.add(publishing);
    if (this.#publishing.size >= PUBLISHING_MAX) await Promise.race(this.#publishing);
  }
}
