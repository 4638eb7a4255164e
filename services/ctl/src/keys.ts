/**
 * The file of API keys that the ingress reads: one JSON object per line, with the key's SHA-256 and
 * never the key. A key is 256 random bits, so its hash needs no salt and no slowness.
 */

import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as v from "valibot";
import { decodeJson } from "@millrace/protocol";
import { CommandError } from "./failure.ts";

/** Loose: what else the ingress reads of a key, its limits and models, stays as it was written. */
const keySchema = v.looseObject({
  /** Names the key in logs and quotas; part of the key itself. */
  id: v.pipe(v.string(), v.regex(/^[0-9a-z-]{1,64}$/)),
  /** Lower-case hex SHA-256 of the whole key. */
  hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Who or what it is for. */
  name: v.string(),
  createdAt: v.string(),
});
export type KeyEntry = v.InferOutput<typeof keySchema>;

export interface NewKey {
  readonly entry: KeyEntry;
  /** `mr_<id>_<43 characters>`: shown once, stored nowhere. */
  readonly key: string;
}

const NAME_LENGTH_MAX = 100;
/** I6: the ingress keeps all of them in memory. */
const KEYS_MAX = 10_000;

/** @throws CommandError for a line that is not a key's. A missing file is an empty one. */
export async function readKeys(path: string): Promise<readonly KeyEntry[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const entries: KeyEntry[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const entry = decodeJson(keySchema, line);
    if (!entry.ok) {
      throw new CommandError(`${path}, line ${at + 1}: ${entry.error.message}`, "correct the line");
    }
    entries.push(entry.value);
  }
  return entries;
}

/** Adds a key to the file, which is made where it is missing. */
export async function createKey(path: string, name: string, now: Date): Promise<NewKey> {
  const entries = await readKeys(path);
  if (name.length > NAME_LENGTH_MAX) {
    throw new CommandError("the name is too long", `at most ${NAME_LENGTH_MAX} characters`);
  }
  if (entries.length >= KEYS_MAX) {
    throw new CommandError(`${path} holds ${KEYS_MAX} keys, the limit`, "revoke one first");
  }
  let id: string;
  do id = randomBytes(4).toString("hex");
  while (entries.some((entry) => entry.id === id));
  const key = `mr_${id}_${randomBytes(32).toString("base64url")}`;
  const hash = createHash("sha256").update(key).digest("hex");
  const entry = { id, hash, name, createdAt: now.toISOString() };
  await writeKeys(path, [...entries, entry]);
  return { entry, key };
}

/** @throws CommandError where no key has this id. */
export async function revokeKey(path: string, id: string): Promise<KeyEntry> {
  const entries = await readKeys(path);
  const revoked = entries.find((entry) => entry.id === id);
  if (revoked === undefined) {
    throw new CommandError(`${path} has no key ${id}`, "see `millrace key list`");
  }
  await writeKeys(
    path,
    entries.filter((entry) => entry !== revoked),
  );
  return revoked;
}

/** Replaced in one step: the ingress may be reading it. */
async function writeKeys(path: string, entries: readonly KeyEntry[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`);
  await writeFile(part, lines.join(""), { mode: 0o600 });
  await chmod(part, 0o600);
  await rename(part, path);
}
