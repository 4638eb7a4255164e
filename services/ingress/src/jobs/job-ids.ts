/** Ids of jobs: new ones in the order of time, or those that an Idempotency-Key stands for. */

import { createHash, randomBytes } from "node:crypto";
import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

const RANDOM_BYTES = 10;
const TIME_DIGITS = 9;
const DIGEST_DIGITS = 40;

/** Sorted by name they are sorted by time, until the year 5188. */
export const newJobId = (): string =>
  `j${Date.now().toString(36).padStart(TIME_DIGITS, "0")}${randomBytes(RANDOM_BYTES).toString("hex")}`;

/** I2: the same key of another tenant is another job. */
export function jobIdOf(tenant: string, idempotencyKey: string): string {
  const hash = createHash("sha256").update(`${tenant}\0${idempotencyKey}`);
  return `k${hash.digest("hex").slice(0, DIGEST_DIGITS)}`;
}

/** The header's value; undefined where there is none. */
export function readIdempotencyKey(header: string | undefined): Result<string | undefined, Fault> {
  if (header === undefined || /^[\x20-\x7e]{1,255}$/.test(header)) return ok(header);
  const message = "an Idempotency-Key is 1 to 255 printable ASCII characters";
  return fail(fault("INVALID_REQUEST", message));
}
