/** Assertions for bugs. They stay on in production: a wrong state must not serve a request. */

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * The message is made in any case. Where it is asked for every request it is a constant: V8 keeps
 * the text of each number in a cache, and what a cache keeps is taken for old by the collector.
 * @throws AssertionError when `condition` is false, which is a bug in Millrace.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}

/** The value, asserted to be there. */
export function present<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionError(`${what} is missing`);
  return value;
}
