/** JSON at the edge: decoded once, against its schema. */

import * as v from "valibot";
import { fail, ok, type Result } from "@millrace/std";
import { type Fault, fault } from "./errors.ts";

const utf8 = new TextDecoder();
const encoder = new TextEncoder();

/** Decodes and checks; the fault names the first field that is wrong. */
export function decodeJson<const S extends v.GenericSchema>(
  schema: S,
  bytes: Uint8Array | string,
): Result<v.InferOutput<S>, Fault> {
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === "string" ? bytes : utf8.decode(bytes));
  } catch (error) {
    return fail(fault("INVALID_JSON", error instanceof Error ? error.message : String(error)));
  }
  return checkValue(schema, value);
}

/** Checks a value that is already parsed. */
export function checkValue<const S extends v.GenericSchema>(
  schema: S,
  value: unknown,
): Result<v.InferOutput<S>, Fault> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return ok(result.output);
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  return fail(
    fault("INVALID_REQUEST", path === null ? issue.message : `${path}: ${issue.message}`),
  );
}

export const encodeJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));
