/** BYTES tensors: a u32 length and the bytes per element on the wire, strings in onnxruntime. */

import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * The elements as strings. onnxruntime for Node takes strings only and cuts them at a zero byte, so
 * that one, and bytes that are not UTF-8, are refused (WRONG_VALUE) and not changed silently.
 */
export function readStrings(bytes: Uint8Array, count: number): Result<string[], Fault> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at, true) : Infinity;
    if (end > bytes.length) {
      return fail(fault("WRONG_BYTE_COUNT", `BYTES element ${strings.length} runs past the end`));
    }
    const text = decodeText(bytes.subarray(at + 4, end));
    if (text === undefined) {
      const message = `BYTES element ${strings.length} is not UTF-8 text without zero bytes`;
      return fail(fault("WRONG_VALUE", message));
    }
    strings.push(text);
    at = end;
  }
  if (strings.length !== count) {
    return fail(
      fault("WRONG_BYTE_COUNT", `${strings.length} BYTES elements, the shape has ${count}`),
    );
  }
  return ok(strings);
}

function decodeText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function writeStrings(strings: readonly string[]): Uint8Array {
  const encoded = strings.map((text) => encoder.encode(text));
  let size = 0;
  for (const bytes of encoded) size += 4 + bytes.length;
  const target = new Uint8Array(size);
  const view = new DataView(target.buffer);
  let at = 0;
  for (const bytes of encoded) {
    view.setUint32(at, bytes.length, true);
    target.set(bytes, at + 4);
    at += 4 + bytes.length;
  }
  return target;
}
