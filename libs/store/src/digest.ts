/** SHA-256 of whole blobs, in pieces, so that heartbeats go out while a gigabyte is hashed. */

import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";

/** About half a millisecond of hashing. */
export const PIECE_BYTES = 1024 * 1024;

const DIGEST = /^[0-9a-f]{64}$/;

/** True for lower-case hex SHA-256, which is also safe as an object's or a file's name. */
export const isDigest = (text: string): boolean => DIGEST.test(text);

/** Lower-case hex SHA-256 of the bytes, which must not change meanwhile. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    if (at > 0) await turn();
    hash.update(bytes.subarray(at, at + PIECE_BYTES));
  }
  return hash.digest("hex");
}
