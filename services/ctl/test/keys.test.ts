/** API keys and the cluster's state on disk: what is stored, and what never is. */

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createKey, readKeys, revokeKey } from "../src/keys.ts";
import { readState, removeState, writeState } from "../src/state.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-keys-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("keys", () => {
  const now = new Date("2026-01-01T00:00:00.000Z");

  test("the file holds the hash, for its owner only, and never the key", async () => {
    const path = join(directory, "deep", "keys");
    const { key, entry } = await createKey(path, "tests", now);
    expect(key).toMatch(/^mr_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/);
    expect(entry).toEqual({
      id: key.split("_")[1],
      hash: createHash("sha256").update(key).digest("hex"),
      name: "tests",
      createdAt: "2026-01-01T00:00:00.000Z",
    });
    const text = await readFile(path, "utf8");
    expect(text).toBe(`${JSON.stringify(entry)}\n`);
    expect(text).not.toContain(key.slice(12));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("keys are added one by one and revoked by id", async () => {
    const path = join(directory, "keys");
    const first = await createKey(path, "a", now);
    const second = await createKey(path, "b", now);
    expect(await readKeys(path)).toEqual([first.entry, second.entry]);
    expect(await revokeKey(path, first.entry.id)).toEqual(first.entry);
    expect(await readKeys(path)).toEqual([second.entry]);
    await expect(revokeKey(path, first.entry.id)).rejects.toThrow(/has no key/);
    expect(await readdir(directory)).toEqual(["keys"]);
  });

  test("changes at the same time are all made", async () => {
    const path = join(directory, "keys");
    const { entry } = await createKey(path, "first", now);
    const made = Array.from({ length: 8 }, (_, at) => createKey(path, `key ${at}`, now));
    const [, ...keys] = await Promise.all([revokeKey(path, entry.id), ...made]);
    const ids = keys.map((key) => key.entry.id).toSorted();
    expect((await readKeys(path)).map(({ id }) => id).toSorted()).toEqual(ids);
  });

  test("a lock that was left behind is named, and nothing is changed", async () => {
    const path = join(directory, "keys");
    await writeFile(`${path}.lock`, "1");
    await expect(createKey(path, "a", now)).rejects.toThrow(/keys\.lock is there/);
    expect(await readKeys(path)).toEqual([]);
  });

  test("what else a line says of a key outlives the changes of others", async () => {
    const path = join(directory, "keys");
    const line = { id: "team-1", hash: "0".repeat(64), name: "t", createdAt: "", rate: 5 };
    await writeFile(path, `${JSON.stringify(line)}\n`);
    await createKey(path, "b", now);
    expect((await readKeys(path))[0]).toEqual(line);
  });

  test("a missing file is an empty one, a damaged one is told by its line", async () => {
    const path = join(directory, "keys");
    expect(await readKeys(path)).toEqual([]);
    await createKey(path, "a", now);
    await writeFile(path, `${await readFile(path, "utf8")}{"id":"x"}\n`);
    await expect(readKeys(path)).rejects.toThrow(/line 2/);
  });
});

describe("the state of a running cluster", () => {
  const state = { url: "http://127.0.0.1:1", natsUrl: "nats://127.0.0.1:2", pid: process.pid };

  test("is there while its process is", () => {
    expect(readState(directory)).toBeUndefined();
    writeState(state, directory);
    expect(readState(directory)).toEqual(state);
    removeState(directory);
    expect(readState(directory)).toBeUndefined();
  });

  test("of a process that is gone, or damaged, is as good as none", async () => {
    writeState({ ...state, pid: 2 ** 22 + 1 }, directory);
    expect(readState(directory)).toBeUndefined();
    await writeFile(join(directory, "state.json"), "{");
    expect(readState(directory)).toBeUndefined();
  });
});
