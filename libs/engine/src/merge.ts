/**
 * Many requests become one batch: tensors are checked against the signature, and their rows are
 * copied behind each other into a slab, padded where the model declares how. One copy per tensor,
 * from views that may be unaligned.
 *
 * A slab is used again and again, so every byte of a batch is written here: what an earlier batch
 * left must not reach another request (I2).
 */

import {
  batchBuckets,
  type Datatype,
  decodeTensors,
  ELEMENT_BYTES,
  type Fault,
  fault,
  type Tensor,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { elementCount, type Layout, type TensorLayout } from "./layout.ts";
import { readStrings } from "./strings.ts";

/** One request of a batch. */
export interface EngineItem {
  readonly rows: number;
  /** Length along the model's padded axis, 0 where the model declares none. */
  readonly length: number;
  /** Encoded tensors in signature order; may be unaligned. */
  readonly body: Uint8Array;
}

export interface BatchInput {
  readonly dims: readonly number[];
  /** Where its elements begin in the slab; of no meaning for strings. */
  readonly at: number;
  readonly strings?: readonly string[];
}

export interface Batch {
  readonly slab: ArrayBuffer;
  readonly inputs: readonly BatchInput[];
  /** Rows and length of the tensors that run, padding included. */
  readonly rows: number;
  readonly length: number;
  /** Rows and length per item, in pairs. */
  readonly items: Int32Array;
}

/** Enough for every element type and for whole cache lines. */
const ALIGNMENT = 64;
const aligned = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

/**
 * Merges the items of one batch. `bucketed` rounds rows and length up, for devices on which a new
 * shape is expensive. Fails with the code of the first tensor that does not fit the signature, with
 * BATCH_TOO_LARGE past the model's limit, and with EXECUTION_FAILED for items that cannot share a
 * batch; nothing is taken from `takeSlab` then.
 */
export function mergeItems(
  layout: Layout,
  items: readonly EngineItem[],
  bucketed: boolean,
  takeSlab: (bytes: number) => ArrayBuffer,
): Result<Batch, Fault> {
  const bodies: (readonly Tensor[])[] = [];
  const lengths = new Int32Array(2 * items.length);
  let rows = 0;
  let length = 0;
  for (const [at, item] of items.entries()) {
    const body = readBody(layout, item);
    if (!body.ok) return body;
    bodies.push(body.value);
    lengths[2 * at] = item.rows;
    lengths[2 * at + 1] = item.length;
    rows += item.rows;
    length = Math.max(length, item.length);
  }
  if (layout.maxBatch > 0) {
    if (rows > layout.maxBatch) {
      // I3: whatever was assigned, a batch never exceeds its model's limit.
      const message = `${rows} rows in a batch of at most ${layout.maxBatch}`;
      return fail(fault("BATCH_TOO_LARGE", message));
    }
    if (bucketed) {
      rows = roundedRows(rows, layout.maxBatch);
      length = roundedLength(length, layout.lengthMax);
    }
  }
  const placed = placeInputs(layout, bodies, rows, length);
  if (!placed.ok) return placed;
  const { inputs, bytes } = placed.value;
  const slab = takeSlab(bytes);
  layout.inputs.forEach((input, at) => {
    if (input.datatype !== "BYTES") fillInput(slab, layout, bodies, inputs, at);
  });
  return ok({ slab, inputs, rows, length, items: lengths });
}

/** The next batch size that was warmed up. */
export const roundedRows = (rows: number, maxBatch: number): number =>
  batchBuckets(maxBatch).find((bucket) => bucket >= rows) ?? maxBatch;

/** The next power of two from 8 on, at most the longest input that the model takes. */
export const roundedLength = (length: number, lengthMax: number): number =>
  length === 0 ? 0 : Math.min(lengthMax, Math.max(8, 2 ** Math.ceil(Math.log2(length))));

function readBody(layout: Layout, item: EngineItem): Result<readonly Tensor[], Fault> {
  const decoded = decodeTensors(item.body);
  if (!decoded.ok) return decoded;
  const tensors = decoded.value;
  if (tensors.length !== layout.inputs.length) {
    const message = `${tensors.length} input tensors, expected ${layout.inputs.length}`;
    return fail(
      fault(tensors.length < layout.inputs.length ? "MISSING_INPUT" : "UNKNOWN_INPUT", message),
    );
  }
  if (layout.lengthMax > 0 && (item.length < 1 || item.length > layout.lengthMax)) {
    return fail(fault("WRONG_SHAPE", `length ${item.length}, expected 1 to ${layout.lengthMax}`));
  }
  for (let at = 0; at < tensors.length; at++) {
    const wrong = checkTensor(
      layout.inputs[at] as TensorLayout,
      tensors[at] as Tensor,
      layout.maxBatch > 0 ? item.rows : undefined,
      item.length,
    );
    if (wrong !== undefined) return fail(wrong);
  }
  return decoded;
}

/** `rows` is undefined for models without a batch. */
function checkTensor(
  input: TensorLayout,
  tensor: Tensor,
  rows: number | undefined,
  length: number,
): Fault | undefined {
  const { name, datatype, shape, padAxis } = input;
  if (tensor.datatype !== datatype) {
    return fault("WRONG_DATATYPE", `input ${name} is ${tensor.datatype}, expected ${datatype}`);
  }
  let fits = tensor.dims.length === shape.length;
  for (let axis = 0; fits && axis < shape.length; axis++) {
    let expected = shape[axis] as number;
    if (axis === 0 && rows !== undefined) expected = rows;
    else if (axis > 0 && axis === padAxis) expected = length;
    fits = expected === -1 || tensor.dims[axis] === expected;
  }
  if (!fits) {
    const given = `[${tensor.dims.join(",")}]`;
    return fault("WRONG_SHAPE", `input ${name} has shape ${given}, expected [${shape.join(",")}]`);
  }
  if (datatype === "BYTES") return undefined;
  const bytes = elementCount(tensor.dims) * ELEMENT_BYTES[datatype];
  if (tensor.bytes.length === bytes) return undefined;
  const message = `input ${name} has ${tensor.bytes.length} bytes, its shape needs ${bytes}`;
  return fault("WRONG_BYTE_COUNT", message);
}

/** Decides the merged dimensions and where each input stands in the slab. */
function placeInputs(
  layout: Layout,
  bodies: readonly (readonly Tensor[])[],
  rows: number,
  length: number,
): Result<{ inputs: BatchInput[]; bytes: number }, Fault> {
  const inputs: BatchInput[] = [];
  let bytes = 0;
  for (const [at, input] of layout.inputs.entries()) {
    const dims = [...((bodies[0] as readonly Tensor[])[at] as Tensor).dims];
    if (layout.maxBatch > 0) dims[0] = rows;
    if (input.padAxis > 0) dims[input.padAxis] = length;
    for (const body of bodies) {
      const other = (body[at] as Tensor).dims;
      const same = other.every(
        (size, axis) => axis === 0 || axis === input.padAxis || size === dims[axis],
      );
      if (!same) {
        // The scheduler batches equal shapes only; run one by one, each of these items is fine.
        return fail(fault("EXECUTION_FAILED", `input ${input.name} differs in shape in one batch`));
      }
    }
    if (input.datatype === "BYTES") {
      const strings = mergeStrings(layout, bodies, dims, at);
      if (!strings.ok) return strings;
      inputs.push({ dims, at: 0, strings: strings.value });
    } else {
      inputs.push({ dims, at: bytes });
      bytes = aligned(bytes + elementCount(dims) * ELEMENT_BYTES[input.datatype]);
    }
  }
  return ok({ inputs, bytes });
}

function fillInput(
  slab: ArrayBuffer,
  layout: Layout,
  bodies: readonly (readonly Tensor[])[],
  inputs: readonly BatchInput[],
  at: number,
): void {
  const { datatype, padAxis } = layout.inputs[at] as TensorLayout;
  const { dims, at: begin } = inputs[at] as BatchInput;
  const elementBytes = ELEMENT_BYTES[datatype];
  const target = new Uint8Array(slab, begin, elementCount(dims) * elementBytes);
  let cursor = 0;
  for (const body of bodies) {
    const tensor = body[at] as Tensor;
    const short = padAxis > 0 && (tensor.dims[padAxis] as number) < (dims[padAxis] as number);
    if (!short) {
      target.set(tensor.bytes, cursor);
      cursor += tensor.bytes.length;
      continue;
    }
    const inner = elementCount(dims, padAxis + 1) * elementBytes;
    const chunk = (tensor.dims[padAxis] as number) * inner;
    const paddedChunk = (dims[padAxis] as number) * inner;
    const pattern = elementPattern(datatype, layout.fill);
    for (let from = 0; from < tensor.bytes.length; from += chunk) {
      target.set(tensor.bytes.subarray(from, from + chunk), cursor);
      fillPattern(target, cursor + chunk, cursor + paddedChunk, pattern);
      cursor += paddedChunk;
    }
  }
  target.fill(0, cursor); // I2: rows that only round the batch up hold nothing of earlier ones
}

function mergeStrings(
  layout: Layout,
  bodies: readonly (readonly Tensor[])[],
  dims: readonly number[],
  at: number,
): Result<readonly string[], Fault> {
  const { padAxis } = layout.inputs[at] as TensorLayout;
  const merged: string[] = [];
  for (const body of bodies) {
    const tensor = body[at] as Tensor;
    const strings = readStrings(tensor.bytes, elementCount(tensor.dims));
    if (!strings.ok) return strings;
    const inner = elementCount(dims, padAxis + 1);
    const chunk = padAxis > 0 ? (tensor.dims[padAxis] as number) * inner : strings.value.length;
    const padding = padAxis > 0 ? (dims[padAxis] as number) * inner - chunk : 0;
    for (let from = 0; from < strings.value.length; from += chunk) {
      for (let element = from; element < from + chunk; element++) {
        merged.push(strings.value[element] as string);
      }
      for (let left = padding; left > 0; left--) merged.push("");
    }
  }
  for (let left = elementCount(dims) - merged.length; left > 0; left--) merged.push("");
  return ok(merged);
}

interface Float16View {
  setFloat16(at: number, value: number, littleEndian: boolean): void;
}

/** One element's bytes. Whole numbers for integer types: the fraction is dropped. */
export function elementPattern(datatype: Datatype, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  const size = ELEMENT_BYTES[datatype];
  if (datatype === "FP32") view.setFloat32(0, value, true);
  else if (datatype === "FP64") view.setFloat64(0, value, true);
  else if (datatype === "FP16") (view as unknown as Float16View).setFloat16(0, value, true);
  else if (datatype === "BF16") {
    view.setFloat32(0, value, true);
    return bytes.slice(2, 4); // the upper half of the FP32, rounded towards zero
  } else view.setBigInt64(0, BigInt(Math.trunc(value)), true);
  return bytes.slice(0, size);
}

function fillPattern(target: Uint8Array, from: number, to: number, pattern: Uint8Array): void {
  if (pattern.every((byte) => byte === 0)) {
    target.fill(0, from, to);
    return;
  }
  for (let at = from; at < to; at += pattern.length) target.set(pattern, at);
}
