/**
 * Tensors between services: a count, then per tensor its datatype, rank, dimensions, byte count and
 * little-endian row-major bytes. They stand in the order of the model's signature, so names do not
 * travel. BYTES elements are a u32 length and the bytes, as in the Open Inference Protocol.
 */

import { fail, ok, type Result } from "@millrace/std";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { type Fault, fault } from "./errors.ts";
import { TENSOR_RANK_MAX, TENSORS_MAX } from "./limits.ts";

/** The datatypes of the Open Inference Protocol that ONNX has too; a type's place is its number. */
export const DATATYPES = [
  "BOOL",
  "UINT8",
  "UINT16",
  "UINT32",
  "UINT64",
  "INT8",
  "INT16",
  "INT32",
  "INT64",
  "FP16",
  "FP32",
  "FP64",
  "BF16",
  "BYTES",
] as const;
export type Datatype = (typeof DATATYPES)[number];

/** Bytes per element; 0 for BYTES, whose elements differ in size. */
export const ELEMENT_BYTES: Readonly<Record<Datatype, number>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BF16: 2,
  BYTES: 0,
};

export interface Tensor {
  readonly datatype: Datatype;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

const tensorHead = (tensor: Tensor): number => 6 + 4 * tensor.dims.length;

/** Size of the encoded list. */
export function tensorsBytes(tensors: readonly Tensor[]): number {
  let size = 1;
  for (const tensor of tensors) size += tensorHead(tensor) + tensor.bytes.length;
  return size;
}

/** Writes the list at the writer's place; this copies the tensors' bytes once. */
export function writeTensors(writer: ByteWriter, tensors: readonly Tensor[]): void {
  writer.u8(tensors.length);
  for (const tensor of tensors) {
    writeHead(writer, tensor);
    writer.raw(tensor.bytes);
  }
}

/** The encoded list in pieces: its bytes can be copied into frames once, and never together. */
export function tensorPieces(tensors: readonly Tensor[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [Uint8Array.of(tensors.length)];
  for (const tensor of tensors) {
    const writer = new ByteWriter(tensorHead(tensor));
    writeHead(writer, tensor);
    pieces.push(writer.bytes, tensor.bytes);
  }
  return pieces;
}

function writeHead(writer: ByteWriter, tensor: Tensor): void {
  writer.u8(DATATYPES.indexOf(tensor.datatype));
  writer.u8(tensor.dims.length);
  for (const dim of tensor.dims) writer.u32(dim);
  writer.u32(tensor.bytes.length);
}

export function encodeTensors(tensors: readonly Tensor[]): Uint8Array {
  const writer = new ByteWriter(tensorsBytes(tensors));
  writeTensors(writer, tensors);
  return writer.bytes;
}

/** The tensors' bytes are views into `bytes`, and may be unaligned. */
export function decodeTensors(bytes: Uint8Array): Result<readonly Tensor[], Fault> {
  try {
    const reader = new ByteReader(bytes);
    const count = reader.u8();
    if (count > TENSORS_MAX) throw new RangeError(`${count} tensors, at most ${TENSORS_MAX}`);
    const tensors: Tensor[] = [];
    for (let at = 0; at < count; at++) {
      const datatype = DATATYPES[reader.u8()];
      if (datatype === undefined) throw new RangeError("unknown datatype");
      const rank = reader.u8();
      if (rank > TENSOR_RANK_MAX) throw new RangeError(`rank ${rank}, at most ${TENSOR_RANK_MAX}`);
      const dims: number[] = [];
      for (let axis = 0; axis < rank; axis++) dims.push(reader.u32());
      tensors.push({ datatype, dims, bytes: reader.raw(reader.u32()) });
    }
    return ok(tensors);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail(fault("TRUNCATED_BODY", `tensors: ${error.message}`));
  }
}
