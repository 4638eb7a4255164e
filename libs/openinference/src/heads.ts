/**
 * Remembers the last JSON head of each signature. Clients that send binary tensors of one shape
 * send the same head every time; comparing its few hundred bytes is a tenth of the cost of reading
 * it. What the bytes behind it must satisfy is checked each time.
 */

import type { Tensor } from "@millrace/protocol";
import { checkBinary } from "./binary.ts";
import type { InferRequest } from "./request.ts";
import { countElements } from "./shapes.ts";
import type { InputSlot, Signature } from "./signature.ts";

interface Part {
  readonly slot: InputSlot;
  readonly dims: readonly number[];
  readonly elements: number;
  /** Where the tensor's bytes are behind the head. */
  readonly from: number;
  readonly to: number;
}

interface Head {
  readonly json: Uint8Array;
  readonly binaryBytes: number;
  readonly parts: readonly Part[];
  readonly request: Omit<InferRequest, "tensors">;
}

/** I6: one head of bounded size per signature. */
const HEAD_BYTES_MAX = 1024;
const heads = new WeakMap<Signature, Head>();

/** Keeps the head of a request all of whose tensors are views of the body. */
export function rememberHead(
  signature: Signature,
  body: Uint8Array,
  jsonBytes: number,
  request: InferRequest,
): void {
  if (jsonBytes > HEAD_BYTES_MAX) return;
  const { tensors, ...rest } = request;
  const start = body.byteOffset + jsonBytes;
  const parts: Part[] = [];
  for (const [at, { dims, bytes }] of tensors.entries()) {
    const slot = signature.inputs[at];
    if (slot === undefined || bytes.buffer !== body.buffer) return;
    const from = bytes.byteOffset - start;
    parts.push({ slot, dims, elements: countElements(slot, dims), from, to: from + bytes.length });
  }
  const json = body.slice(0, jsonBytes);
  heads.set(signature, { json, binaryBytes: body.length - jsonBytes, parts, request: rest });
}

/** The request, where its head is the remembered one; undefined where it has to be read. */
export function recallHead(
  signature: Signature,
  body: Uint8Array,
  jsonBytes: number,
): InferRequest | undefined {
  const head = heads.get(signature);
  if (head === undefined || head.json.length !== jsonBytes) return undefined;
  if (body.length - jsonBytes !== head.binaryBytes || !startsWith(body, head.json)) {
    return undefined;
  }
  const tensors = head.parts.map(({ slot, dims, elements, from, to }): Tensor => {
    const bytes = body.subarray(jsonBytes + from, jsonBytes + to);
    checkBinary(slot, elements, bytes);
    return { datatype: slot.datatype, dims, bytes };
  });
  return { ...head.request, tensors };
}

function startsWith(body: Uint8Array, start: Uint8Array): boolean {
  for (let at = 0; at < start.length; at++) if (body[at] !== start[at]) return false;
  return true;
}
