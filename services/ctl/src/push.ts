/**
 * `millrace model push`: a file becomes a version that answers. Nothing is written before all of it
 * was found sound.
 */

import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { inspectModel } from "@millrace/engine";
import {
  decodeJson,
  type Fault,
  type ModelRecord,
  modelRef,
  type ModelSpec,
} from "@millrace/protocol";
import { formatBytes, ok, present, type Result } from "@millrace/std";
import {
  activate,
  addVersion,
  checkProvenance,
  digestOf,
  findSame,
  type ModelDraft,
  type Store,
} from "@millrace/store";
import { type Declaration, declarationSchema, makeDraft } from "./declaration.ts";
import { CommandError, valueOf } from "./failure.ts";

const INSPECT_LIMITS = { timeoutMs: 60_000, memoryBytesMax: 8 * 1024 ** 3 };

/** What a push uses of the store. */
export interface PushStore {
  readonly registry: Pick<Store["registry"], "get" | "update">;
  readonly blobs: Pick<Store["blobs"], "put" | "touch">;
}

export type Report = (line: string) => void;

export interface Pushed {
  readonly ref: string;
  /** `same`: these bytes with this description were there already, and nothing was written. */
  readonly outcome: "first" | "updated" | "same";
  readonly record: ModelRecord;
}

/** A `model.json`, with the path of its file made whole. */
export async function readDeclaration(path: string): Promise<Declaration> {
  const declaration = decodeJson(declarationSchema, await readFile(path));
  if (!declaration.ok)
    throw new CommandError(`${path}: ${declaration.error.message}`, "correct it");
  return { ...declaration.value, file: resolve(dirname(path), declaration.value.file) };
}

/**
 * @throws CommandError; the registry and the blobs are as before then, or a blob is unused until it
 *   is swept, or what is registered is whole after a repetition.
 */
export async function pushModel(
  store: PushStore,
  declaration: Declaration,
  report: Report,
): Promise<Pushed> {
  valueOf(checkProvenance(declaration.provenance));
  const bytes = new Uint8Array(await readFile(declaration.file));
  const createdAt = new Date().toISOString();
  const file = { digest: await digestOf(bytes), bytes: bytes.length, createdAt };
  const before = valueOf(await store.registry.get(declaration.name));
  const known = before === undefined ? undefined : findPushed(before, declaration, file);
  if (before !== undefined && known !== undefined) {
    // Writes only where the stored file is damaged or gone.
    valueOf(await store.blobs.put(bytes));
    return { ref: modelRef(before.name, known.version), outcome: "same", record: before };
  }
  report(`reading the signature of ${declaration.file} (${formatBytes(bytes.length)})`);
  const signature = valueOf(await inspectModel(bytes, INSPECT_LIMITS));
  const draft = valueOf(makeDraft(declaration, signature, file));
  report(`storing blob ${file.digest}`);
  valueOf(await store.blobs.put(bytes));
  const record = valueOf(await register(store, draft));
  // A removal that saw nothing refer to the blob yet may have taken it meanwhile.
  const isThere = valueOf(await store.blobs.touch(file.digest));
  if (!isThere) valueOf(await store.blobs.put(bytes));
  const ref = modelRef(record.name, record.active);
  return { ref, outcome: before === undefined ? "first" : "updated", record };
}

/** The version of these bytes with this description; the file need not be opened to tell. */
function findPushed(
  record: ModelRecord,
  declaration: Declaration,
  file: Parameters<typeof makeDraft>[2],
): ModelSpec | undefined {
  for (const spec of Object.values(record.versions)) {
    if (spec.digest !== file.digest) continue;
    const draft = makeDraft(declaration, spec, file);
    const same = draft.ok ? findSame(record, draft.value) : undefined;
    if (same !== undefined) return same;
  }
  return undefined;
}

/** Adds the version and makes it the one that answers, in one write. */
async function register(store: PushStore, draft: ModelDraft): Promise<Result<ModelRecord, Fault>> {
  const updated = await store.registry.update(draft.name, (record) => {
    const added = addVersion(record, draft);
    if (!added.ok) return added;
    return activate(added.value, added.value.latest ?? added.value.active);
  });
  return updated.ok ? ok(present(updated.value, `the record of ${draft.name}`)) : updated;
}
