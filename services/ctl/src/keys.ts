/**
 * The file of API keys that the ingress reads: one JSON object per line, with the key's SHA-256 and
 * never the key. A key is 256 random bits, so its hash needs no salt and no slowness.
 */

import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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

const LOCK_MS_MAX = 2_000;
const LOCK_LOOK_MS = 20;

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
export const createKey = (path: string, name: string, now: Date): Promise<NewKey> =>
  alone(path, () => addKey(path, name, now));

/** @throws CommandError where no key has this id. */
export const revokeKey = (path: string, id: string): Promise<KeyEntry> =>
  alone(path, () => removeKey(path, id));

/** Two that change the file at once would each undo what the other did. */
async function alone<T>(path: string, change: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  await mkdir(dirname(path), { recursive: true });
  const untilMs = performance.now() + LOCK_MS_MAX;
  while (!(await isMade(lock))) {
    if (performance.now() > untilMs) {
      const remedy = "wait for the command that made it, or remove it where that was killed";
      throw new CommandError(`${lock} is there: the keys are being changed`, remedy);
    }
    await sleep(LOCK_LOOK_MS);
  }
  try {
    return await change();
  } finally {
    await rm(lock, { force: true });
  }
}

/** False where the file was there before. */
async function isMade(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function addKey(path: string, name: string, now: Date): Promise<NewKey> {
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

async function removeKey(path: string, id: string): Promise<KeyEntry> {
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
  const part = `${path}.${process.pid}.part`;
  const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`);
  await writeFile(part, lines.join(""), { mode: 0o600 });
  await chmod(part, 0o600);
  await rename(part, path);
}
