/** The first API key of an installation. */

import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readKeys } from "../../src/keys.ts";
import { ensureFirstKey } from "../../src/up/first-key.ts";

let directory: string;
let keyFile: string;
let hashesFile: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-key-"));
  keyFile = join(directory, "api-key");
  hashesFile = join(directory, "api-keys.jsonl");
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("it is made once, and kept in a file of the owner's; the ingress gets its hash", async () => {
  const first = await ensureFirstKey(keyFile, hashesFile);
  expect(first.created).toBe(true);
  expect(first.key).toMatch(/^mr_[0-9a-z]{8}_[A-Za-z0-9_-]{43}$/);
  expect(await readFile(keyFile, "ascii")).toBe(`${first.key}\n`);
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
  const hash = createHash("sha256").update(first.key).digest("hex");
  expect(await readKeys(hashesFile)).toMatchObject([{ hash, name: "first" }]);
  expect(await readFile(hashesFile, "utf8")).not.toContain(first.key);
  expect(await ensureFirstKey(keyFile, hashesFile)).toEqual({ key: first.key, created: false });
});

test("a key that was revoked, or lost, is replaced by a new one", async () => {
  const first = await ensureFirstKey(keyFile, hashesFile);
  await writeFile(hashesFile, "");
  const second = await ensureFirstKey(keyFile, hashesFile);
  expect(second).toMatchObject({ created: true });
  expect(second.key).not.toBe(first.key);
  await rm(keyFile);
  expect((await ensureFirstKey(keyFile, hashesFile)).created).toBe(true);
  expect(await readKeys(hashesFile)).toHaveLength(2);
});
