/** How parsing stops at the first thing that is wrong: thrown inside, a Result outside. */

import { type ErrorCode, type Fault, FaultError } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

export function refuse(code: ErrorCode, message: string): never {
  throw new FaultError(code, message);
}

/** What `read` returns, or the fault it was refused with. Anything else that it throws is a bug. */
export function refusable<T>(read: () => T): Result<T, Fault> {
  try {
    return ok(read());
  } catch (error) {
    if (error instanceof FaultError) return fail(error.fault);
    throw error;
  }
}

const SHOWN_MAX = 80;

/** A client's value in a message: as JSON, on one line, cut short. */
export function show(value: unknown): string {
  // An array is cut before it is written: it may hold millions of elements.
  const text = JSON.stringify(Array.isArray(value) ? value.slice(0, 16) : value) ?? "nothing";
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;
}
