/**
 * The typed array of each datatype that has one. Typed arrays are little-endian wherever
 * onnxruntime runs, as the protocol's binary data is.
 */

import type { Datatype } from "@millrace/protocol";

/** 64-bit integers are not numbers in JavaScript, the others here are. */
export type Numeric = Exclude<Datatype, "UINT64" | "INT64" | "FP16" | "BF16" | "BYTES">;

export const NUMBER_ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Readonly<Record<Numeric, unknown>>;

export const BIGINT_ARRAYS = { UINT64: BigUint64Array, INT64: BigInt64Array } as const;
