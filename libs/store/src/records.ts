/** What can be done to a model's record. Pure: the registry's compare-and-set writes the result. */

import {
  type Fault,
  fault,
  type ModelRecord,
  modelRef,
  type ModelSpec,
  type Provenance,
  VERSIONS_MAX,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

/** A version that has no number yet. */
export type ModelDraft = Omit<ModelSpec, "version">;

const isBlank = (text: string): boolean => text.trim() === "";

/** PROVENANCE_MISSING names what is missing; asked before anything is stored. */
export function checkProvenance(provenance: {
  readonly [K in keyof Provenance]?: Provenance[K] | undefined;
}): Result<Provenance, Fault> {
  const { source = "", upstreamName = "", licence = "", notes } = provenance;
  const missing: string[] = [];
  if (isBlank(source)) missing.push("source (where the file comes from)");
  if (isBlank(upstreamName)) missing.push("upstream name (what it is called there)");
  if (isBlank(licence)) missing.push("licence (an SPDX identifier)");
  if (missing.length > 0)
    return fail(fault("PROVENANCE_MISSING", `missing: ${missing.join(", ")}`));
  return ok({ source, upstreamName, licence, ...(notes === undefined ? {} : { notes }) });
}

/** The version that is the same in everything but its number and date. */
export function findSame(record: ModelRecord, draft: ModelDraft): ModelSpec | undefined {
  const content = contentOf(draft);
  return Object.values(record.versions).find((spec) => contentOf(spec) === content);
}

/**
 * Adds the next version, and leaves which one answers as it is; the first version of a new model
 * answers at once. A number is never given twice while the record lives, so that a worker that
 * still holds a removed version can't answer for a new one.
 * MODEL_EXISTS: the same model with the same description is there already.
 */
export function addVersion(
  record: ModelRecord | undefined,
  draft: ModelDraft,
): Result<ModelRecord, Fault> {
  const provenance = checkProvenance(draft.provenance);
  if (!provenance.ok) return provenance;
  if (record === undefined) {
    const versions = { 1: { ...draft, version: 1 } };
    return ok({ name: draft.name, active: 1, loaded: true, latest: 1, versions });
  }
  const same = findSame(record, draft);
  if (same !== undefined) {
    const message = `${modelRef(record.name, same.version)} is the same model already`;
    return fail(fault("MODEL_EXISTS", message));
  }
  const version = 1 + Math.max(record.latest ?? 0, ...Object.keys(record.versions).map(Number));
  if (version > VERSIONS_MAX) {
    const message = `${record.name} has had ${VERSIONS_MAX} versions, the limit; use a new name`;
    return fail(fault("MODEL_TOO_LARGE", message));
  }
  const versions = { ...record.versions, [version]: { ...draft, version } };
  return ok({ ...record, latest: version, versions });
}

/** Makes a version the one that answers, and the one before it what `rollback` returns to. */
export function activate(record: ModelRecord, version: number): Result<ModelRecord, Fault> {
  if (record.versions[version] === undefined) return fail(noVersion(record, version));
  if (record.active === version) return ok(record);
  return ok({ ...record, active: version, previous: record.active });
}

/** Returns to the version that answered before; a second one undoes the first. */
export function rollback(record: ModelRecord): Result<ModelRecord, Fault> {
  if (record.previous !== undefined) return activate(record, record.previous);
  const message = `${record.name} has no version before ${record.active} to return to`;
  return fail(fault("VERSION_NOT_FOUND", message));
}

/** The active version cannot be removed: another must answer first, or the whole model go. */
export function removeVersion(record: ModelRecord, version: number): Result<ModelRecord, Fault> {
  if (record.versions[version] === undefined) return fail(noVersion(record, version));
  if (record.active === version) {
    const message = `${modelRef(record.name, version)} is active; activate another version first`;
    return fail(fault("INVALID_REQUEST", message));
  }
  const { [version]: _removed, ...versions } = record.versions;
  const { previous, ...rest } = record;
  const kept = previous === undefined || previous === version ? {} : { previous };
  return ok({ ...rest, ...kept, versions });
}

/** False takes the model off the devices, and refuses its requests until it is true again. */
export function setLoaded(record: ModelRecord, loaded: boolean): Result<ModelRecord, Fault> {
  return ok(record.loaded === loaded ? record : { ...record, loaded });
}

/** Of the files that a model's versions are of. */
export const digestsOf = (record: ModelRecord): readonly string[] =>
  Object.values(record.versions).map((spec) => spec.digest);

function noVersion(record: ModelRecord, version: number): Fault {
  const versions = Object.keys(record.versions).join(", ");
  return fault("VERSION_NOT_FOUND", `${record.name} has no version ${version}, only ${versions}`);
}

/** Everything that makes a version what it is, as text that is equal where it is. */
function contentOf(spec: ModelDraft): string {
  const { createdAt: _createdAt, ...content } = { ...spec, version: undefined };
  return JSON.stringify(content, (_key, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
