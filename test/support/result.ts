/** Results that a test takes for granted. */

import type { Result } from "@millrace/std";

/** @throws Error with the fault of a result that should have been good. */
export function mustSucceed<T>(
  result: Result<T, { readonly code: string; readonly message: string }>,
): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}
