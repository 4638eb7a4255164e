/** Keys for a cluster of a test. */

import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";

/** One key, in the form in which `millrace key` writes them. */
export async function createKey(path: string): Promise<string> {
  const id = randomBytes(4).toString("hex");
  const key = `mr_${id}_${randomBytes(32).toString("base64url")}`;
  const hash = createHash("sha256").update(key).digest("hex");
  const entry = { id, hash, name: "test", createdAt: new Date().toISOString() };
  await writeFile(path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  return key;
}
