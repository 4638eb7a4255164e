/**
 * ONNX element types: their numbers, their sizes, the protocol datatype that carries them, and
 * where a tensor keeps them when it does not use raw bytes.
 */

import type { Datatype } from "@millrace/protocol";

/** The numbers of TensorProto.DataType that code here spells out. */
export const ELEMENT = {
  FLOAT: 1,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
} as const;

export type ElementStorage = "float" | "int32" | "int64" | "double" | "uint64" | "string";

export interface ElementType {
  readonly name: string;
  /** 0 for strings, whose elements differ in size. */
  readonly bits: number;
  readonly storage: ElementStorage;
  /** Entries of the typed field per element: 2 for complex numbers, 1/2 for two packed into one. */
  readonly entries: number;
  /** Undefined where the Open Inference Protocol has no such type. */
  readonly datatype: Datatype | undefined;
}

const element = (
  name: string,
  bits: number,
  storage: ElementStorage,
  datatype?: Datatype,
  entries = 1,
): ElementType => ({ name, bits, storage, entries, datatype });

/** By number; 0 is "undefined" in ONNX and stays absent. */
export const ELEMENT_TYPES: ReadonlyMap<number, ElementType> = new Map([
  [1, element("float", 32, "float", "FP32")],
  [2, element("uint8", 8, "int32", "UINT8")],
  [3, element("int8", 8, "int32", "INT8")],
  [4, element("uint16", 16, "int32", "UINT16")],
  [5, element("int16", 16, "int32", "INT16")],
  [6, element("int32", 32, "int32", "INT32")],
  [7, element("int64", 64, "int64", "INT64")],
  [8, element("string", 0, "string", "BYTES")],
  [9, element("bool", 8, "int32", "BOOL")],
  [10, element("float16", 16, "int32", "FP16")],
  [11, element("double", 64, "double", "FP64")],
  [12, element("uint32", 32, "uint64", "UINT32")],
  [13, element("uint64", 64, "uint64", "UINT64")],
  [14, element("complex64", 64, "float", undefined, 2)],
  [15, element("complex128", 128, "double", undefined, 2)],
  [16, element("bfloat16", 16, "int32", "BF16")],
  [17, element("float8e4m3fn", 8, "int32")],
  [18, element("float8e4m3fnuz", 8, "int32")],
  [19, element("float8e5m2", 8, "int32")],
  [20, element("float8e5m2fnuz", 8, "int32")],
  [21, element("uint4", 4, "int32", undefined, 1 / 2)],
  [22, element("int4", 4, "int32", undefined, 1 / 2)],
  [23, element("float4e2m1", 4, "int32", undefined, 1 / 2)],
  [24, element("float8e8m0", 8, "int32")],
  [25, element("uint2", 2, "int32", undefined, 1 / 4)],
  [26, element("int2", 2, "int32", undefined, 1 / 4)],
]);
