/** Models as the command line names them. */

import { isName, NAME_RULE } from "@millrace/std";
import { usageError } from "./failure.ts";

/** `digits` or `digits@3`. */
export function splitModel(model: string): {
  readonly name: string;
  readonly version: number | undefined;
} {
  const [name = "", version, ...rest] = model.split("@");
  if (!isName(name)) throw usageError(`${JSON.stringify(name)} is no name`, `it is ${NAME_RULE}`);
  if (version === undefined) return { name, version };
  if (rest.length === 0 && /^[1-9]\d{0,5}$/.test(version))
    return { name, version: Number(version) };
  throw usageError(`${JSON.stringify(model)} is no version of a model`, "expected NAME@NUMBER");
}
