/**
 * Large parts of jobs, by content and by tenant (I2): uploads that jobs refer to, and results that
 * are larger than a message. They expire when no results can be left.
 */

import { createHash, randomUUID } from "node:crypto";
import type { JetStreamClient } from "@nats-io/jetstream";
import type { ObjectInfo, ObjectStore } from "@nats-io/obj";
import { type Fault, fault, FRAME_BYTES_MAX, JOB_OBJECT_BUCKET } from "@millrace/protocol";
import { assert, fail, formatBytes, isName, ok, type Result } from "@millrace/std";
import { digestOf, isDigest } from "../digest.ts";
import { CALL_MS_MAX } from "../storage.ts";
import { nextMessage } from "../stream-pages.ts";
import { attempt, persist } from "./calls.ts";

export interface StoredObject {
  readonly digest: string;
  readonly bytes: number;
}

export interface JobObjects {
  /** The digest. What is there already is written again: it then expires later. */
  put(tenant: string, bytes: Uint8Array): Promise<Result<string, Fault>>;
  /**
   * Stores a stream whose digest is known at its end only. BODY_TOO_LARGE past `bytesMax`,
   * TRUNCATED_BODY where the stream breaks, INVALID_REQUEST where it is not what was `expected`;
   * then nothing is kept.
   */
  receive(tenant: string, upload: Upload): Promise<Result<StoredObject, Fault>>;
  /** OBJECT_NOT_FOUND where there is none. */
  read(tenant: string, digest: string): Promise<Result<Uint8Array, Fault>>;
  /** The same in pieces; one throws where the object is damaged or gone, or the broker is lost. */
  open(tenant: string, digest: string): Promise<Result<AsyncIterable<Uint8Array>, Fault>>;
}

export interface Upload {
  readonly source: AsyncIterable<Uint8Array>;
  readonly bytesMax: number;
  readonly expected?: string | undefined;
}

/** What a stream ended with, if it was not its end. */
class UploadError extends Error {
  readonly fault: Fault;

  constructor(reason: Fault) {
    super(reason.message);
    this.fault = reason;
  }
}

/** Somebody else is faster in each lost one, so few are enough. */
const FILINGS_MAX = 4;
const OBJECT = { max_chunk_size: FRAME_BYTES_MAX };

export class BucketObjects implements JobObjects {
  readonly #client: JetStreamClient;
  readonly #objects: ObjectStore;

  constructor(client: JetStreamClient, objects: ObjectStore) {
    this.#client = client;
    this.#objects = objects;
  }

  async put(tenant: string, bytes: Uint8Array): Promise<Result<string, Fault>> {
    const digest = await digestOf(bytes);
    const name = nameOf(tenant, digest);
    const put = await persist("storing an object", () =>
      this.#objects.putBlob({ name, options: OBJECT }, bytes),
    );
    return put.ok ? ok(digest) : put;
  }

  async receive(tenant: string, upload: Upload): Promise<Result<StoredObject, Fault>> {
    // Under a name of its own until it is whole: nobody can read a half of it.
    const name = `${tenant}/receiving-${randomUUID()}`;
    const hash = createHash("sha256");
    let bytes = 0;
    const checked = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for await (const piece of upload.source) {
          bytes += piece.length;
          if (bytes > upload.bytesMax) {
            const message = `an object may have ${formatBytes(upload.bytesMax)}`;
            throw new UploadError(fault("BODY_TOO_LARGE", message));
          }
          hash.update(piece);
          yield piece;
        }
      } catch (error) {
        if (error instanceof UploadError) throw error;
        const message = `the object ended before its end: ${(error as Error).message}`;
        throw new UploadError(fault("TRUNCATED_BODY", message));
      }
    };
    const source = ReadableStream.from(checked());
    try {
      await this.#objects.put({ name, options: OBJECT }, source, { timeout: CALL_MS_MAX });
    } catch (error) {
      if (error instanceof UploadError) return fail(error.fault);
      const failed = await attempt("storing an object", () => Promise.reject(error as Error));
      return failed.ok ? fail(fault("STORAGE_FULL", "storing an object: a conflict")) : failed;
    }
    const digest = hash.digest("hex");
    return this.#file(tenant, name, { digest, bytes }, upload.expected);
  }

  async #file(
    tenant: string,
    name: string,
    stored: StoredObject,
    expected: string | undefined,
  ): Promise<Result<StoredObject, Fault>> {
    const { digest } = stored;
    if (expected !== undefined && expected !== digest) {
      await attempt("removing an object", () => this.#objects.delete(name));
      const message = `the bytes have the SHA-256 ${digest}, the path says ${expected}`;
      return fail(fault("INVALID_REQUEST", message));
    }
    for (let round = 1; ; round++) {
      const filed = await attempt("filing an object", async () => {
        // A name that is taken cannot be given again; what has it are the same bytes.
        await this.#objects.delete(nameOf(tenant, digest)).catch(() => undefined);
        await this.#objects.update(name, { name: nameOf(tenant, digest) });
      });
      if (filed.ok) return ok(stored);
      // Another upload of the same bytes was faster, and has the name.
      const there = await this.open(tenant, digest);
      if (there.ok) {
        await attempt("removing an object", () => this.#objects.delete(name));
        return ok(stored);
      }
      // Or had it, until a third took it away for its own: whoever is last files it.
      if (there.error.code !== "OBJECT_NOT_FOUND" || round === FILINGS_MAX) return filed;
    }
  }

  async read(tenant: string, digest: string): Promise<Result<Uint8Array, Fault>> {
    const opened = await this.open(tenant, digest);
    if (!opened.ok) return opened;
    const pieces: Uint8Array[] = [];
    const read = await attempt("reading an object", async () => {
      for await (const piece of opened.value) pieces.push(piece);
    });
    return read.ok ? ok(Buffer.concat(pieces)) : read;
  }

  async open(tenant: string, digest: string): Promise<Result<AsyncIterable<Uint8Array>, Fault>> {
    const found = await persist("reading an object", () =>
      this.#objects.info(nameOf(tenant, digest)),
    );
    if (!found.ok) return found;
    assert(found.value !== "conflict", "a read conflicts with nothing");
    if (found.value === null || found.value.deleted) {
      return fail(fault("OBJECT_NOT_FOUND", `there is no object ${digest}; upload it first`));
    }
    return ok(checkedPieces(digest, this.#pieces(found.value)));
  }

  /** By single look-ups: see `nextMessage`. Ends early where pieces are gone. */
  async *#pieces({ nuid, size }: ObjectInfo): AsyncGenerator<Uint8Array> {
    const { streams } = await this.#client.jetstreamManager(false);
    const subject = `$O.${JOB_OBJECT_BUCKET}.C.${nuid}`;
    let seq = 1;
    for (let bytes = 0; bytes < size;) {
      const piece = await nextMessage(streams, `OBJ_${JOB_OBJECT_BUCKET}`, seq, subject);
      if (piece === null) return;
      seq = piece.seq + 1;
      bytes += piece.data.length;
      yield piece.data;
    }
  }
}

/** I8: checked against its own name as it is read; the last piece comes only when it fits. */
async function* checkedPieces(
  digest: string,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let before: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (before !== undefined) yield before;
    hash.update(piece);
    before = piece;
  }
  if (hash.digest("hex") !== digest) throw new Error(`object ${digest} is damaged`);
  if (before !== undefined) yield before;
}

/** I9: tenants are names and digests are hexadecimal. */
function nameOf(tenant: string, digest: string): string {
  assert(isName(tenant) && isDigest(digest), "an object has a tenant and a digest");
  return `${tenant}/${digest}`;
}
