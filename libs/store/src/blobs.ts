/**
 * Blobs by content: an object's name is the SHA-256 of its bytes, so an object never changes, a
 * reader never meets one half replaced, and what is read is checked against its own name (I8).
 */

import type { JetStreamClient } from "@nats-io/jetstream";
import type { ObjectResult, ObjectStore } from "@nats-io/obj";
import { type Fault, fault, FRAME_BYTES_MAX } from "@millrace/protocol";
import { assert, fail, ok, type Result } from "@millrace/std";
import { BlobEntries, type StoredBlob } from "./blob-entries.ts";
import { digestOf, isDigest } from "./digest.ts";
import { piecesOf } from "./object-pieces.ts";
import { isConflict, storageFault } from "./storage.ts";

/** The largest ONNX file there can be without external data: protobuf's own limit. */
export const BLOB_BYTES_MAX = 2 ** 31 - 1;

export interface Blobs {
  /**
   * The digest, lower-case hex. Bytes that are already there, and whole, are not written again, and
   * count as put just now.
   */
  put(bytes: Uint8Array): Promise<Result<string, Fault>>;
  /** As a put of what is there; false where it is not. Its bytes are not looked at. */
  touch(digest: string): Promise<Result<boolean, Fault>>;
  /** Faults: LOAD_FAILED where there is no such blob, DIGEST_MISMATCH, those of `storageFault`. */
  read(digest: string): Promise<Result<Uint8Array, Fault>>;
  /** What is there, by digest. */
  list(): Promise<Result<readonly StoredBlob[], Fault>>;
  /** False where it was put again since it was listed, or is gone. */
  remove(blob: StoredBlob): Promise<Result<boolean, Fault>>;
}

/** How the object store writes a digest down. */
const storedDigest = (digest: string): string =>
  `SHA-256=${Buffer.from(digest, "hex").toString("base64url")}=`;

const mismatch = (digest: string, what: string): Fault =>
  fault("DIGEST_MISMATCH", `blob ${digest}: ${what}; push the model again to repair it`);

export class ObjectBlobs implements Blobs {
  readonly #objects: ObjectStore;
  readonly #entries: BlobEntries;

  constructor(client: JetStreamClient, objects: ObjectStore) {
    this.#objects = objects;
    this.#entries = new BlobEntries(client);
  }

  async put(bytes: Uint8Array): Promise<Result<string, Fault>> {
    if (bytes.length === 0) return fail(fault("MODEL_CORRUPT", "the file is empty"));
    if (bytes.length > BLOB_BYTES_MAX) {
      const message = `the file has ${bytes.length} bytes, at most ${BLOB_BYTES_MAX}`;
      return fail(fault("MODEL_TOO_LARGE", message));
    }
    const digest = await digestOf(bytes);
    // Read in full and not only looked up, so that a damaged blob is replaced.
    const stored = await this.read(digest);
    if (stored.ok) {
      const touched = await this.touch(digest);
      if (!touched.ok) return touched;
      if (touched.value) return ok(digest);
      // It was removed meanwhile.
    } else if (stored.error.code !== "LOAD_FAILED" && stored.error.code !== "DIGEST_MISMATCH") {
      return stored;
    }
    try {
      const options = { max_chunk_size: FRAME_BYTES_MAX };
      await this.#objects.putBlob({ name: digest, options }, bytes);
      return ok(digest);
    } catch (error) {
      // Whoever was faster stored the same bytes.
      if (isConflict(error)) return ok(digest);
      return fail(storageFault(error, `storing blob ${digest}`));
    }
  }

  async read(digest: string): Promise<Result<Uint8Array, Fault>> {
    assert(isDigest(digest), `${digest} is no digest`);
    try {
      const object = await this.#objects.get(digest);
      if (object === null) {
        const message = `blob ${digest} is not in the store; push the model again`;
        return fail(fault("LOAD_FAILED", message));
      }
      // I8: the client hashes what it reads and compares with this, which must be the name.
      if (object.info.digest !== storedDigest(digest)) {
        object.error.catch(() => undefined);
        await object.data.cancel();
        return fail(mismatch(digest, "it is filed with another digest"));
      }
      return await collect(digest, object);
    } catch (error) {
      return fail(storageFault(error, `reading blob ${digest}`));
    }
  }

  async touch(digest: string): Promise<Result<boolean, Fault>> {
    assert(isDigest(digest), `${digest} is no digest`);
    try {
      return ok(await this.#entries.touch(digest));
    } catch (error) {
      return fail(storageFault(error, `storing blob ${digest}`));
    }
  }

  async list(): Promise<Result<readonly StoredBlob[], Fault>> {
    try {
      return ok(await this.#entries.list());
    } catch (error) {
      return fail(storageFault(error, "listing the blobs"));
    }
  }

  async remove(blob: StoredBlob): Promise<Result<boolean, Fault>> {
    assert(isDigest(blob.digest), `${blob.digest} is no digest`);
    try {
      return ok(await this.#entries.remove(blob));
    } catch (error) {
      return fail(storageFault(error, `removing blob ${blob.digest}`));
    }
  }
}

/** The object as one piece of memory. */
async function collect(digest: string, object: ObjectResult): Promise<Result<Uint8Array, Fault>> {
  const { size } = object.info;
  if (size > BLOB_BYTES_MAX) return fail(mismatch(digest, `it claims ${size} bytes`));
  try {
    const bytes = new Uint8Array(size);
    let at = 0;
    for await (const piece of piecesOf(object)) {
      if (at + piece.length > size) return fail(mismatch(digest, `more than its ${size} bytes`));
      bytes.set(piece, at);
      at += piece.length;
    }
    return at === size ? ok(bytes) : fail(mismatch(digest, `${at} of its ${size} bytes`));
  } catch (error) {
    // The client's only error in the middle of a stream, besides those of the connection.
    if (!/corrupt object/.test(String(error))) throw error;
    return fail(mismatch(digest, "its bytes are damaged"));
  }
}
