/** Writes a tensor's elements as the JSON of a flat `data` array. */

import type { Tensor } from "@millrace/protocol";
import { assert } from "@millrace/std";
import { BIGINT_ARRAYS, NUMBER_ARRAYS } from "./arrays.ts";
import { hasJsonForm } from "./signature.ts";

const utf8 = new TextDecoder();

/** Without the brackets. FP16 and BF16 have no JSON form and never come here. */
export function elementsText(tensor: Tensor): string {
  const { datatype, bytes } = tensor;
  if (datatype === "BYTES") return stringsText(bytes);
  if (datatype === "BOOL") return Array.from(bytes, (byte) => byte !== 0).join(",");
  if (datatype === "INT64" || datatype === "UINT64") {
    return new BIGINT_ARRAYS[datatype](aligned(bytes)).join(",");
  }
  assert(hasJsonForm(datatype), `${datatype} in JSON`);
  return quoteNonFinite(new NUMBER_ARRAYS[datatype](aligned(bytes)).join(","));
}

/**
 * A tensor is a view at any offset into a message; a typed array needs its own aligned. Not
 * `slice`, which copies nothing where the message is a `Buffer`.
 */
const aligned = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** "NaN", "Infinity" and "-Infinity", as in requests. */
const quoteNonFinite = (text: string): string =>
  text.includes("N") || text.includes("I") ? text.replace(/-?Infinity|NaN/g, '"$&"') : text;

function stringsText(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const texts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at, true);
    texts.push(JSON.stringify(utf8.decode(bytes.subarray(at + 4, at + 4 + length))));
    at += 4 + length;
  }
  return texts.join(",");
}
