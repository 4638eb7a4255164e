/** Parses a client's JSON in bounded time and memory. */

import type { Fault } from "@millrace/protocol";
import type { Result } from "@millrace/std";
import { refusable, refuse } from "./refuse.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The protocol needs 3 levels around a tensor, a tensor at most its rank. */
export const DEPTH_MAX = 32;

/** For documents that hold requests: whether they are nested no deeper than that. */
export const checkNesting = (bytes: Uint8Array, depthMax: number): Result<void, Fault> =>
  refusable(() => checkDepth(bytes, depthMax));

/** @param bytes of at most JSON_BYTES_MAX, the caller sees to it. */
export function parseJson(bytes: Uint8Array): unknown {
  checkDepth(bytes);
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    // TextDecoder throws TypeError for bytes that are not UTF-8.
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    return refuse("INVALID_JSON", error.message);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;

/**
 * Millions of nested brackets parse into fifty times their size, and a few thousand are more than
 * `JSON.stringify` can write: refused before that.
 * @throws FaultError INVALID_JSON
 */
function checkDepth(bytes: Uint8Array, depthMax = DEPTH_MAX): void {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      if (++depth > depthMax) refuse("INVALID_JSON", `nested more than ${depthMax} levels deep`);
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      depth--;
    }
  }
}

function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}
