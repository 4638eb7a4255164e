/**
 * Removes blobs that no model needs: those of a model that was just removed, and those that a push
 * or a removal left behind when it ended half-way. It may run beside pushes of the same bytes: what
 * is put between the look at the blobs and the removal stays, and a push looks again whether its
 * blob is there after it is registered.
 */

import type { Fault, ModelRecord } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import type { StoredBlob } from "./blob-entries.ts";
import type { Blobs } from "./blobs.ts";
import { digestsOf } from "./records.ts";
import type { Registry } from "./registry.ts";

/** Longer than a push takes from its blob to its record. */
const UNUSED_MS_MIN = 3_600_000;

export interface SweepFacts {
  readonly stored: readonly StoredBlob[];
  /** What was just removed: its blobs need not have been unused for long. */
  readonly gone: readonly ModelRecord[];
  /** Every record that there is. */
  readonly left: readonly ModelRecord[];
  readonly nowMs: number;
}

export interface SweptStore {
  readonly registry: Pick<Registry, "listAll">;
  readonly blobs: Pick<Blobs, "list" | "remove">;
}

/** Pure. */
export function unusedBlobs({ stored, gone, left, nowMs }: SweepFacts): readonly StoredBlob[] {
  const needed = new Set(left.flatMap(digestsOf));
  const freed = new Set(gone.flatMap(digestsOf));
  return stored.filter(
    ({ digest, putAtMs }) =>
      !needed.has(digest) && (freed.has(digest) || nowMs - putAtMs > UNUSED_MS_MIN),
  );
}

/** The digests that were removed. INTERNAL, and nothing is, where a record cannot be read. */
export async function sweepBlobs(
  { registry, blobs }: SweptStore,
  gone: readonly ModelRecord[],
  nowMs: number,
): Promise<Result<readonly string[], Fault>> {
  // In this order: whoever registers after this look has put, or puts, its blob after it.
  const stored = await blobs.list();
  if (!stored.ok) return stored;
  const left = await registry.listAll();
  if (!left.ok) return left;
  const removed: string[] = [];
  for (const blob of unusedBlobs({ stored: stored.value, gone, left: left.value, nowMs })) {
    const done = await blobs.remove(blob);
    if (!done.ok) return fail(done.error);
    if (done.value) removed.push(blob.digest);
  }
  return ok(removed);
}
