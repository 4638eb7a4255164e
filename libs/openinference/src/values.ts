/**
 * Turns the JSON numbers, booleans and strings of a tensor into its little-endian bytes, and
 * refuses what the datatype cannot represent.
 */

import type { Datatype } from "@millrace/protocol";
import { BIGINT_ARRAYS, NUMBER_ARRAYS, type Numeric } from "./arrays.ts";
import { refuse, show } from "./refuse.ts";
import { hasJsonForm, type InputSlot } from "./signature.ts";

/** JSON has no such numbers; these names are those of the JSON form of protocol buffers. */
const NON_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/**
 * @param data flat, or nested as the shape says.
 * @param elements the product of `shape`; nothing is allocated for it before `data` has as many.
 */
export function packValues(
  slot: InputSlot,
  shape: readonly number[],
  elements: number,
  data: unknown,
): Uint8Array {
  if (!Array.isArray(data)) {
    return refuse("INVALID_REQUEST", `input ${show(slot.name)}: "data" must be an array`);
  }
  const runs: unknown[][] = [];
  if (Array.isArray(data[0])) gather(slot, shape, 0, data, runs);
  else if (data.length === elements) runs.push(data);
  else {
    const counts = `shape ${show(shape)} has ${elements} elements, "data" has ${data.length}`;
    refuse("WRONG_SHAPE", `input ${show(slot.name)}: ${counts}`);
  }
  const { datatype } = slot;
  if (datatype === "BYTES") return packStrings(slot, runs);
  if (datatype === "INT64" || datatype === "UINT64")
    return packWide(slot, datatype, elements, runs);
  if (hasJsonForm(datatype)) return packNumbers(slot, datatype, elements, runs);
  const message = `${datatype} has no JSON form; send it as binary data`;
  return refuse("INVALID_REQUEST", `input ${show(slot.name)}: ${message}`);
}

/** Collects the innermost arrays. The depth is the rank of a checked shape, so it is bounded. */
function gather(
  slot: InputSlot,
  shape: readonly number[],
  axis: number,
  data: unknown,
  runs: unknown[][],
): void {
  if (!Array.isArray(data) || data.length !== shape[axis]) {
    const found = Array.isArray(data) ? `${data.length} elements` : "no array";
    refuse(
      "WRONG_SHAPE",
      `input ${show(slot.name)}: "data" has ${found} at depth ${axis} of shape ${show(shape)}`,
    );
  }
  if (axis === shape.length - 1) {
    runs.push(data);
    return;
  }
  for (const part of data) gather(slot, shape, axis + 1, part, runs);
}

function packNumbers(
  slot: InputSlot,
  datatype: Numeric,
  elements: number,
  runs: unknown[][],
): Uint8Array {
  const target = new NUMBER_ARRAYS[datatype](elements);
  const read = READERS[datatype];
  let at = 0;
  for (const run of runs) {
    for (const value of run) {
      const number = read(value);
      if (number === undefined) return wrongValue(slot, at, value);
      target[at++] = number;
    }
  }
  return new Uint8Array(target.buffer);
}

function packWide(
  slot: InputSlot,
  datatype: keyof typeof BIGINT_ARRAYS,
  elements: number,
  runs: unknown[][],
): Uint8Array {
  const target = new BIGINT_ARRAYS[datatype](elements);
  const least = datatype === "UINT64" ? 0 : Number.MIN_SAFE_INTEGER;
  let at = 0;
  for (const run of runs) {
    for (const value of run) {
      // Past 2^53 the JSON parser has already rounded: refused rather than served changed.
      if (!Number.isSafeInteger(value) || (value as number) < least) {
        return wrongValue(slot, at, value);
      }
      target[at++] = BigInt(value as number);
    }
  }
  return new Uint8Array(target.buffer);
}

function wrongValue(slot: InputSlot, at: number, value: unknown): never {
  const expected = EXPECTED[slot.datatype];
  return refuse(
    "WRONG_VALUE",
    `input ${show(slot.name)}: element ${at} is ${show(value)}; ${slot.datatype} takes ${expected}`,
  );
}

const integer =
  (min: number, max: number) =>
  (value: unknown): number | undefined =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? value
      : undefined;

const float =
  (round: (value: number) => number) =>
  (value: unknown): number | undefined => {
    if (typeof value === "number") return Number.isFinite(round(value)) ? value : undefined;
    return typeof value === "string" && Object.hasOwn(NON_FINITE, value)
      ? NON_FINITE[value]
      : undefined;
  };

const boolean = (value: unknown): number | undefined =>
  typeof value === "boolean" ? Number(value) : undefined;

/** The number that an element becomes, or undefined where the datatype cannot represent it. */
const READERS: Readonly<Record<Numeric, (value: unknown) => number | undefined>> = {
  BOOL: boolean,
  UINT8: integer(0, 0xff),
  UINT16: integer(0, 0xffff),
  UINT32: integer(0, 0xffff_ffff),
  INT8: integer(-0x80, 0x7f),
  INT16: integer(-0x8000, 0x7fff),
  INT32: integer(-0x8000_0000, 0x7fff_ffff),
  FP32: float(Math.fround),
  FP64: float((value) => value),
};

const FINITE = 'finite numbers in its range, or the strings "NaN", "Infinity" and "-Infinity"';

const EXPECTED: Readonly<Record<Datatype, string>> = {
  BOOL: "true or false",
  UINT8: "whole numbers from 0 to 255",
  UINT16: "whole numbers from 0 to 65535",
  UINT32: "whole numbers from 0 to 4294967295",
  UINT64: "whole numbers from 0 to 2^53-1 in JSON; send larger ones as binary data",
  INT8: "whole numbers from -128 to 127",
  INT16: "whole numbers from -32768 to 32767",
  INT32: "whole numbers from -2147483648 to 2147483647",
  INT64: "whole numbers from -2^53+1 to 2^53-1 in JSON; send larger ones as binary data",
  FP16: "binary data only",
  FP32: FINITE,
  FP64: FINITE,
  BF16: "binary data only",
  BYTES: "strings",
};

const utf8 = new TextEncoder();

/** Bytes of UTF-8 for a UTF-16 code unit, at most. */
const UTF8_PER_UNIT = 3;

/** A u32 length and the UTF-8 bytes per string. */
function packStrings(slot: InputSlot, runs: unknown[][]): Uint8Array {
  let count = 0;
  let most = 0;
  for (const run of runs) {
    for (const value of run) {
      if (typeof value !== "string") return wrongValue(slot, count, value);
      count++;
      most += 4 + UTF8_PER_UNIT * value.length;
    }
  }
  const target = new Uint8Array(most);
  const view = new DataView(target.buffer);
  let at = 0;
  for (const run of runs) {
    for (const value of run as string[]) {
      const { written } = utf8.encodeInto(value, target.subarray(at + 4));
      view.setUint32(at, written, true);
      at += 4 + written;
    }
  }
  return target.slice(0, at);
}
