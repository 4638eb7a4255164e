/**
 * The first API key of an installation: the ingress gets a file with its hash, and the key itself
 * goes into a file that only the owner reads. It is printed nowhere.
 */

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createKey, readKeys } from "../keys.ts";

export interface FirstKey {
  readonly key: string;
  readonly created: boolean;
}

/** The key in `keyFile`, or a new one where that is not, or no longer, among the hashes. */
export async function ensureFirstKey(keyFile: string, hashesFile: string): Promise<FirstKey> {
  const kept = (await readFile(keyFile, "ascii").catch(() => "")).trim();
  const hash = createHash("sha256").update(kept).digest("hex");
  const entries = await readKeys(hashesFile);
  if (entries.some((entry) => entry.hash === hash)) return { key: kept, created: false };
  const { key } = await createKey(hashesFile, "first", new Date());
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  return { key, created: true };
}
