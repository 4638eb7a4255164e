/** Checks tensors that came as raw bytes. Nothing is copied: a tensor is a view into the body. */

import { ELEMENT_BYTES, type Tensor } from "@millrace/protocol";
import { refuse, show } from "./refuse.ts";
import { countElements } from "./shapes.ts";
import type { InputSlot, Signature } from "./signature.ts";

/** @param bytes exactly the tensor's; NaN and infinities are values like any other. */
export function checkBinary(slot: InputSlot, elements: number, bytes: Uint8Array): void {
  const each = ELEMENT_BYTES[slot.datatype];
  if (each === 0) {
    checkStrings(slot, elements, bytes);
    return;
  }
  if (bytes.length !== elements * each) wrongCount(slot, elements * each, bytes.length);
  // Another byte is not a bool in C++, where anything may happen.
  if (slot.datatype === "BOOL" && bytes.some((byte) => byte > 1)) {
    refuse("WRONG_VALUE", `input ${show(slot.name)}: a BOOL is the byte 0 or 1`);
  }
}

function wrongCount(slot: InputSlot, expected: number, found: number): never {
  return refuse(
    "WRONG_BYTE_COUNT",
    `input ${show(slot.name)}: its shape takes ${expected} bytes of ${slot.datatype}, not ${found}`,
  );
}

function checkStrings(slot: InputSlot, elements: number, bytes: Uint8Array): void {
  if (countStrings(bytes) === elements) return;
  refuse(
    "WRONG_BYTE_COUNT",
    `input ${show(slot.name)}: ${bytes.length} bytes are not ${elements} BYTES elements` +
      " (each a u32 length, little-endian, and its bytes)",
  );
}

/** Elements of a BYTES tensor; -1 where a length reaches past the end. */
export function countStrings(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let count = 0;
  let at = 0;
  while (bytes.length - at >= 4) {
    at += 4 + view.getUint32(at, true);
    count++;
  }
  return at === bytes.length ? count : -1;
}

/**
 * The raw form: no JSON, the body is the tensor of a model's only input. Its free dimension is what
 * the bytes leave open: one besides the batch, with one row, or else the batch. A BYTES tensor is
 * one element, whose length is not in the body (as Triton has it).
 */
export function readRawTensor(signature: Signature, body: Uint8Array): Tensor {
  const [slot, second] = signature.inputs;
  if (slot === undefined || second !== undefined) {
    return refuse(
      "INVALID_REQUEST",
      `a raw body needs a model with one input; this one has ${signature.inputs.length}`,
    );
  }
  const text = slot.datatype === "BYTES";
  const dims = rawShape(signature, slot, text ? 1 : body.length / ELEMENT_BYTES[slot.datatype]);
  const bytes = text ? withLength(body) : body;
  checkBinary(slot, countElements(slot, dims), bytes);
  return { datatype: slot.datatype, dims, bytes };
}

function rawShape(signature: Signature, slot: InputSlot, elements: number): readonly number[] {
  const dims = [...slot.shape];
  const isBatch = (axis: number): boolean => axis === 0 && signature.batched;
  const free = [...dims.keys()].filter((axis) => dims[axis] === -1 && !isBatch(axis));
  if (free.length > 1) {
    refuse(
      "WRONG_SHAPE",
      `input ${show(slot.name)}: shape ${show(slot.shape)} leaves more than one dimension open;` +
        " send JSON with a shape, and the tensor as binary data behind it",
    );
  }
  if (dims[0] === -1 && signature.batched) dims[0] = 1;
  const open = free[0] ?? (signature.batched ? 0 : undefined);
  if (open === undefined) return dims;
  dims[open] = 1;
  // Too few bytes for one are refused as a wrong byte count, like too many.
  dims[open] = Math.max(1, Math.floor(elements / countElements(slot, dims)));
  return dims;
}

function withLength(text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, 4);
  return bytes;
}
