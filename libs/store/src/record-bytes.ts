/** A model's record as it stands in the registry: JSON that is checked on the way in and out. */

import {
  checkValue,
  decodeJson,
  encodeJson,
  type Fault,
  fault,
  modelRef,
  type ModelRecord,
  modelRecordSchema,
  REGISTRY_BUCKET,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

/** Below the 1 MiB that every NATS server accepts by default, with room for the headers. */
export const RECORD_BYTES_MAX = 1000 * 1024;

/** INTERNAL for what is no record of the model `key`: nothing here writes such bytes. */
export function decodeRecord(key: string, bytes: Uint8Array): Result<ModelRecord, Fault> {
  const record = decodeJson(modelRecordSchema, bytes);
  const wrong = record.ok ? contradiction(key, record.value) : record.error.message;
  if (record.ok && wrong === undefined) return record;
  const remedy = `nats kv purge ${REGISTRY_BUCKET} ${key}`;
  return fail(
    fault("INTERNAL", `the registry's record of ${key}: ${wrong}; drop it with \`${remedy}\``),
  );
}

/** What the schema cannot say: the key is the name, and every version is filed under its number. */
function contradiction(key: string, record: ModelRecord): string | undefined {
  if (record.name !== key) return `it names ${record.name}`;
  for (const [number, { name, version }] of Object.entries(record.versions)) {
    const ref = modelRef(name, version);
    if (ref !== `${key}@${number}`) return `version ${number} is ${ref}`;
  }
  if (record.versions[record.active] === undefined) return `version ${record.active} is missing`;
  return undefined;
}

/** Faults: INVALID_REQUEST for what is no valid record, MODEL_TOO_LARGE for too many versions. */
export function encodeRecord(record: ModelRecord): Result<Uint8Array, Fault> {
  const checked = checkValue(modelRecordSchema, record);
  if (!checked.ok) return checked;
  const wrong = contradiction(record.name, record);
  if (wrong !== undefined) return fail(fault("INVALID_REQUEST", `${record.name}: ${wrong}`));
  const bytes = encodeJson(checked.value);
  if (bytes.length <= RECORD_BYTES_MAX) return ok(bytes);
  const size = `${bytes.length} bytes, at most ${RECORD_BYTES_MAX}`;
  return fail(fault("MODEL_TOO_LARGE", `${record.name}: its record is ${size}; remove versions`));
}
