/** The blob cache on a real file system: what it keeps, drops, and never believes. */

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createBlobCache } from "../src/index.ts";

const blob = (fill: number, size = 100): Uint8Array => new Uint8Array(size).fill(fill);
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-cache-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A store that counts how often it is asked, and can be told to answer differently. */
class FakeBlobs {
  readonly reads: string[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  answer: Result<Uint8Array, Fault> | undefined;

  add(bytes: Uint8Array): string {
    const name = digest(bytes);
    this.blobs.set(name, bytes);
    return name;
  }

  read = async (name: string): Promise<Result<Uint8Array, Fault>> => {
    this.reads.push(name);
    const bytes = this.blobs.get(name);
    return this.answer ?? (bytes ? ok(bytes.slice()) : fail(fault("LOAD_FAILED", "no such blob")));
  };
}

const open = (store: FakeBlobs, bytesMax = 1000, problems: unknown[] = []) =>
  createBlobCache({
    directory,
    bytesMax,
    read: store.read,
    onProblem: (error) => problems.push(error),
  });

describe("what is kept", () => {
  test("a blob is fetched once, also across a restart", async () => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const cache = await open(store);
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
    const restarted = await open(store);
    expect(restarted.bytesUsed).toBe(100);
    expect(await restarted.get(name, 100)).toEqual(ok(blob(1)));
    expect(store.reads).toEqual([name]);
  });

  test("blobs larger than a piece of hashing arrive whole", async () => {
    const store = new FakeBlobs();
    const large = new Uint8Array(2_500_001).map((_, at) => at % 253);
    const name = store.add(large);
    const cache = await open(store, 10_000_000);
    await cache.get(name, large.length);
    const again = await cache.get(name, large.length);
    expect(again.ok && Buffer.compare(again.value, large)).toBe(0);
    expect(store.reads).toHaveLength(1);
  });

  test("callers that ask at once share one fetch", async () => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const cache = await open(store);
    const all = await Promise.all([1, 2, 3].map(() => cache.get(name, 100)));
    expect(all).toEqual([ok(blob(1)), ok(blob(1)), ok(blob(1))]);
    expect(store.reads).toEqual([name]);
  });

  test("a failed fetch is not remembered", async () => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const cache = await open(store);
    store.answer = fail(fault("DISCONNECTED", "gone"));
    expect(await cache.get(name, 100)).toEqual(store.answer);
    store.answer = undefined;
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
  });
});

describe("the bound", () => {
  test("the least recently used goes first (I6)", async () => {
    const store = new FakeBlobs();
    const [a, b, c] = [1, 2, 3].map((fill) => store.add(blob(fill))) as [string, string, string];
    const cache = await open(store, 250);
    await cache.get(a, 100);
    await cache.get(b, 100);
    await cache.get(a, 100);
    await cache.get(c, 100);
    expect((await readdir(directory)).sort()).toEqual([a, c].sort());
    expect(cache.bytesUsed).toBe(200);
  });

  test("the order of use survives a restart", async () => {
    const store = new FakeBlobs();
    const [a, b, c] = [1, 2, 3].map((fill) => store.add(blob(fill))) as [string, string, string];
    const cache = await open(store, 250);
    await cache.get(a, 100);
    await cache.get(b, 100);
    await utimes(join(directory, b), new Date(0), new Date(0));
    const restarted = await open(store, 250);
    await restarted.get(c, 100);
    expect((await readdir(directory)).sort()).toEqual([a, c].sort());
  });

  test("a smaller bound after a restart is obeyed at once", async () => {
    const store = new FakeBlobs();
    const cache = await open(store);
    for (const fill of [1, 2, 3]) await cache.get(store.add(blob(fill)), 100);
    expect((await open(store, 150)).bytesUsed).toBe(100);
    expect(await readdir(directory)).toHaveLength(1);
  });

  test("a blob larger than the cache passes through and pushes nothing out", async () => {
    const store = new FakeBlobs();
    const small = store.add(blob(1));
    const large = store.add(blob(2, 400));
    const cache = await open(store, 250);
    await cache.get(small, 100);
    expect(await cache.get(large, 400)).toEqual(ok(blob(2, 400)));
    expect(await readdir(directory)).toEqual([small]);
  });

  test("many loads at once stay within the bound together", async () => {
    const store = new FakeBlobs();
    const names = Array.from({ length: 20 }, (_, at) => store.add(blob(at)));
    const cache = await open(store, 550);
    const loaded = await Promise.all(names.map((name) => cache.get(name, 100)));
    expect(loaded.every((result) => result.ok)).toBe(true);
    expect(cache.bytesUsed).toBeLessThanOrEqual(550);
    expect((await readdir(directory)).length * 100).toBeLessThanOrEqual(550);
  });
});

describe("what is not believed (I8)", () => {
  const damages: Record<string, (path: string) => Promise<void>> = {
    "a flipped bit": async (path) => {
      const bytes = await readFile(path);
      bytes[50] = (bytes[50] as number) ^ 1;
      await writeFile(path, bytes);
    },
    "a truncated file": (path) => truncate(path, 60),
    "a longer file": (path) => writeFile(path, blob(1, 101)),
    "an empty file": (path) => truncate(path, 0),
    "a missing file": (path) => rm(path),
  };

  test.each(Object.keys(damages))("%s is dropped and fetched again, once", async (what) => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const problems: unknown[] = [];
    const cache = await open(store, 1000, problems);
    await cache.get(name, 100);
    await damages[what]?.(join(directory, name));
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
    expect(store.reads).toEqual([name, name]);
    expect(cache.bytesUsed).toBe(100);
    expect(problems).toMatchObject([{ message: expect.stringContaining("is damaged") }]);
  });

  test("wrong bytes from the store are a fault, and are not kept", async () => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const cache = await open(store);
    store.answer = ok(blob(2));
    expect(await cache.get(name, 100)).toMatchObject({ error: { code: "DIGEST_MISMATCH" } });
    store.answer = ok(blob(1, 99));
    expect(await cache.get(name, 100)).toMatchObject({ error: { code: "DIGEST_MISMATCH" } });
    expect(await readdir(directory)).toEqual([]);
    expect(cache.bytesUsed).toBe(0);
  });

  test("half-written files of a crash are removed, other files are left alone", async () => {
    await writeFile(join(directory, `${digest(blob(1))}.part`), blob(1, 40));
    await writeFile(join(directory, "notes.txt"), "mine");
    const cache = await open(new FakeBlobs());
    expect(await readdir(directory)).toEqual(["notes.txt"]);
    expect(cache.bytesUsed).toBe(0);
  });

  test("a disk that refuses is told, and the blob is served all the same", async () => {
    const store = new FakeBlobs();
    const name = store.add(blob(1));
    const problems: unknown[] = [];
    const cache = await open(store, 1000, problems);
    await rm(directory, { recursive: true });
    expect(await cache.get(name, 100)).toEqual(ok(blob(1)));
    expect(problems).toHaveLength(1);
    expect(cache.bytesUsed).toBe(0);
  });
});
