/** Checks shapes against the signature, and derives from them what decides about batching. */

import { BODY_BYTES_MAX, type Tensor } from "@millrace/protocol";
import { mix32 } from "@millrace/std";
import { refuse, show } from "./refuse.ts";
import type { InputSlot, Signature } from "./signature.ts";

const DIMENSION_MAX = 0xffff_ffff;

/** The request's `shape` of one input: as many dimensions as the signature's, each as it says. */
export function readShape(slot: InputSlot, value: unknown): readonly number[] {
  const expected = slot.shape;
  if (!Array.isArray(value)) {
    return refuse("INVALID_REQUEST", `input ${show(slot.name)}: "shape" must be an array`);
  }
  if (value.length !== expected.length) wrongShape(slot, value);
  for (let axis = 0; axis < expected.length; axis++) {
    const dimension: unknown = value[axis];
    if (
      typeof dimension !== "number" ||
      !Number.isInteger(dimension) ||
      dimension < 1 ||
      dimension > DIMENSION_MAX ||
      (expected[axis] !== -1 && expected[axis] !== dimension)
    ) {
      wrongShape(slot, value);
    }
  }
  return value as readonly number[];
}

function wrongShape(slot: InputSlot, value: unknown): never {
  return refuse(
    "WRONG_SHAPE",
    `input ${show(slot.name)}: shape ${show(value)} does not fit ${show(slot.shape)}` +
      " (-1 stands for any size from 1)",
  );
}

/**
 * Elements of a tensor of this shape, refused before anything is allocated for them. A product past
 * the bound is beyond 2^53 at the most once, where it is inexact but still past the bound.
 */
export function countElements(slot: InputSlot, shape: readonly number[]): number {
  let elements = 1;
  for (const dimension of shape) {
    elements *= dimension;
    if (elements > BODY_BYTES_MAX) {
      refuse(
        "WRONG_SHAPE",
        `input ${show(slot.name)}: shape ${show(shape)} has more than ${BODY_BYTES_MAX} elements`,
      );
    }
  }
  return elements;
}

export interface Measures {
  /** 1 for a model without a batch dimension. */
  readonly rows: number;
  /** Along the padded axis, 0 where the model declares none. */
  readonly length: number;
  /**
   * Equal for requests whose inputs have the same free dimensions, the batch and the padded axis
   * left out; exact for one free dimension, a hash for more. 0 where there is none.
   */
  readonly shapeKey: number;
}

/** @param tensors in the order of the signature, each checked by {@link readShape}. */
export function measure(signature: Signature, tensors: readonly Tensor[]): Measures {
  const { padding, maxBatch } = signature.spec;
  const axis = padding?.axis ?? -1;
  let rows = 1;
  let length = 0;
  let key = 0;
  for (const slot of signature.inputs) {
    const { dims } = tensors[slot.at] as Tensor;
    if (signature.batched) {
      const own = dims[0] as number;
      if (slot.at === 0) rows = own;
      else if (own !== rows) disagree(signature, slot, "rows", own, rows);
    }
    if (slot.padded) {
      const own = dims[axis] as number;
      if (length === 0) length = own;
      else if (own !== length) disagree(signature, slot, "padded length", own, length);
    }
    for (let at = signature.batched ? 1 : 0; at < dims.length; at++) {
      if (slot.shape[at] !== -1 || (slot.padded && at === axis)) continue;
      key = mix32(Math.imul(key, 0x01000193) ^ (dims[at] as number));
    }
  }
  // I3: no batch exceeds its model's limit, and a request is never split over batches.
  if (signature.batched && rows > maxBatch) {
    refuse("BATCH_TOO_LARGE", `${rows} rows; the model takes at most ${maxBatch} in one request`);
  }
  if (padding !== undefined && length > padding.lengthMax) {
    refuse("WRONG_SHAPE", `length ${length}; the model takes at most ${padding.lengthMax}`);
  }
  return { rows, length, shapeKey: key };
}

function disagree(
  signature: Signature,
  slot: InputSlot,
  what: string,
  own: number,
  others: number,
): never {
  const first = signature.inputs.find((input) => what === "rows" || input.padded) ?? slot;
  return refuse(
    "WRONG_SHAPE",
    `input ${show(slot.name)}: ${what} ${own}, but ${show(first.name)} has ${others}`,
  );
}
