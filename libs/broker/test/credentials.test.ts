/** The users' keys on disk. */

import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromSeed } from "@nats-io/nkeys";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createCredentials, seedFileOf, USERS } from "../src/index.ts";

let directory: string;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "millrace-keys-")), "credentials");
});

afterEach(async () => {
  await rm(join(directory, ".."), { recursive: true, force: true });
});

test("each user has a key of its own that only the owner of the file reads", async () => {
  const credentials = await createCredentials(directory);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  for (const user of USERS) {
    const { seedFile, publicKey } = credentials[user];
    expect((await stat(seedFile)).mode & 0o777).toBe(0o400);
    expect(fromSeed(await readFile(seedFile)).getPublicKey()).toBe(publicKey);
    expect(publicKey).toMatch(/^U[A-Z2-7]{55}$/);
  }
  expect(new Set(USERS.map((user) => credentials[user].publicKey)).size).toBe(USERS.length);
});

test("keys that are there stay, whoever starts again or at the same time", async () => {
  const several = await Promise.all([1, 2, 3].map(() => createCredentials(directory)));
  expect(several[1]).toEqual(several[0]);
  expect(several[2]).toEqual(several[0]);
  expect(await createCredentials(directory)).toEqual(several[0]);
  expect((await readdir(directory)).toSorted()).toEqual(USERS.map((user) => `${user}.nk`).sort());
});

test("a file that holds no seed is named", async () => {
  await createCredentials(directory);
  const path = seedFileOf(directory, "admin");
  await chmod(path, 0o600);
  await writeFile(path, "not a seed");
  await expect(createCredentials(directory)).rejects.toThrow(`${path} holds no NKey seed`);
});
