/**
 * Blobs on the local disk, so that loading a model again does not read the store again. Bounded in
 * bytes, least recently used goes first (I6), and never believed: bytes are hashed at every load
 * (I8), and what does not match is dropped and fetched again. One process per directory.
 */

import { createHash } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fault, fault } from "@millrace/protocol";
import { assert, fail, ok, type Result } from "@millrace/std";
import { digestOf, isDigest, PIECE_BYTES } from "./digest.ts";

export interface BlobCacheOptions {
  /** Made where it is missing; files in it that are not whole blobs are removed. */
  readonly directory: string;
  /** Larger blobs, and what the disk refuses, pass through. */
  readonly bytesMax: number;
  /** Fetches from the store. */
  readonly read: (digest: string) => Promise<Result<Uint8Array, Fault>>;
  /** A cache that is damaged or cannot be written still serves; this is how it becomes known. */
  readonly onProblem?: (error: unknown) => void;
}

export interface BlobCache {
  /**
   * The blob of `digest`, `bytes` long. Callers that ask while one fetch is under way share it, and
   * its memory: the bytes must not be changed, nor transferred to a thread.
   * Faults: DIGEST_MISMATCH, and those of `read`.
   */
  get(digest: string, bytes: number): Promise<Result<Uint8Array, Fault>>;
  readonly bytesUsed: number;
}

const PART = ".part";

/** @throws the file system's error where the directory cannot be made or read. */
export async function createBlobCache(options: BlobCacheOptions): Promise<BlobCache> {
  const { directory } = options;
  await mkdir(directory, { recursive: true });
  const found: { digest: string; bytes: number; usedMs: number }[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (name.endsWith(PART)) await rm(path, { force: true });
    if (!isDigest(name)) continue;
    const { size, mtimeMs } = await stat(path);
    found.push({ digest: name, bytes: size, usedMs: mtimeMs });
  }
  found.sort((a, b) => a.usedMs - b.usedMs);
  const cache = new DiskCache(options, new Map(found.map(({ digest, bytes }) => [digest, bytes])));
  await cache.trim(0);
  return cache;
}

class DiskCache implements BlobCache {
  readonly #options: BlobCacheOptions;
  /** Bytes by digest; the map's order is the order of use, oldest first. */
  readonly #entries: Map<string, number>;
  readonly #underWay = new Map<string, Promise<Result<Uint8Array, Fault>>>();
  /** One write at a time, so that making room and using it are one step. */
  #writing = Promise.resolve();
  #used: number;

  constructor(options: BlobCacheOptions, entries: Map<string, number>) {
    this.#options = options;
    this.#entries = entries;
    this.#used = entries.values().reduce((sum, bytes) => sum + bytes, 0);
  }

  get bytesUsed(): number {
    return this.#used;
  }

  async get(digest: string, bytes: number): Promise<Result<Uint8Array, Fault>> {
    assert(isDigest(digest), `${digest} is no digest`);
    const underWay = this.#underWay.get(digest);
    if (underWay !== undefined) return underWay;
    const load = this.#load(digest, bytes).finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, load);
    return load;
  }

  /** Removes the least recently used until `bytes` more fit. */
  async trim(bytes: number): Promise<void> {
    for (const digest of this.#entries.keys()) {
      if (this.#used + bytes <= this.#options.bytesMax) return;
      await this.#drop(digest);
    }
  }

  async #load(digest: string, bytes: number): Promise<Result<Uint8Array, Fault>> {
    if (this.#entries.has(digest)) {
      const local = await readVerified(this.#path(digest), digest, bytes);
      if (local !== undefined) {
        await this.#touch(digest, bytes);
        return ok(local);
      }
      const problem = new Error(`the file of blob ${digest} is damaged, and is fetched again`);
      this.#options.onProblem?.(problem);
      await this.#drop(digest);
    }
    const fetched = await this.#options.read(digest);
    if (!fetched.ok) return fetched;
    // I8: whatever the store checks, what is served and what is kept was hashed here.
    if (fetched.value.length !== bytes || (await digestOf(fetched.value)) !== digest) {
      const message = `blob ${digest}: the store gave ${fetched.value.length} bytes that differ`;
      return fail(fault("DIGEST_MISMATCH", message));
    }
    this.#writing = this.#writing.then(() => this.#keep(digest, fetched.value));
    await this.#writing;
    return fetched;
  }

  /** Atomic by rename. Not flushed to the disk: what a power cut leaves fails its hash. */
  async #keep(digest: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.#options.bytesMax) return;
    const path = this.#path(digest);
    await this.trim(bytes.length);
    try {
      await writeFile(path + PART, bytes);
      await rename(path + PART, path);
      this.#entries.set(digest, bytes.length);
      this.#used += bytes.length;
    } catch (error) {
      this.#options.onProblem?.(error);
      await this.#drop(digest);
    }
  }

  /** The order of use survives a restart as the files' times. */
  async #touch(digest: string, bytes: number): Promise<void> {
    // Another load may have pushed it out while this one read it.
    if (!this.#entries.delete(digest)) return;
    this.#entries.set(digest, bytes);
    const now = new Date();
    await utimes(this.#path(digest), now, now).catch((error) => this.#options.onProblem?.(error));
  }

  async #drop(digest: string): Promise<void> {
    this.#used -= this.#entries.get(digest) ?? 0;
    this.#entries.delete(digest);
    for (const path of [this.#path(digest), this.#path(digest) + PART]) {
      await rm(path, { force: true }).catch((error) => this.#options.onProblem?.(error));
    }
  }

  #path(digest: string): string {
    return join(this.#options.directory, digest);
  }
}

/** The file, hashed while it is read; undefined where it is missing, of another size or damaged. */
async function readVerified(
  path: string,
  digest: string,
  size: number,
): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path);
    if ((await file.stat()).size !== size) return undefined;
    const bytes = new Uint8Array(size);
    const hash = createHash("sha256");
    for (let at = 0; at < size;) {
      const length = Math.min(PIECE_BYTES, size - at);
      const { bytesRead } = await file.read(bytes, at, length, at);
      if (bytesRead === 0) return undefined;
      hash.update(bytes.subarray(at, at + bytesRead));
      at += bytesRead;
    }
    return hash.digest("hex") === digest ? bytes : undefined;
  } catch {
    // Unreadable is as good as missing: it is fetched again.
    return undefined;
  }
}
