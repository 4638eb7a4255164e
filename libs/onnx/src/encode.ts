/**
 * Records to ONNX bytes, driven by the table in `schema.ts`: fields in ascending order, unknown
 * ones at their place among them. A file that has its fields in that order, as protobuf writes
 * them, comes back byte for byte from decoding and encoding.
 *
 * A length stands before what it measures, so a first pass finds every length and a second writes
 * into one allocation of the exact size; `lengths` hands them over in the order of the walk.
 */

import { assert } from "@millrace/std";
import type { Integer, OnnxModel, UnknownField } from "./model.ts";
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./reader.ts";
import { type Field, type MessageName, SCHEMAS } from "./schema.ts";

interface Encodable {
  readonly [name: string]: unknown;
  readonly unknownFields?: readonly UnknownField[];
  readonly otherForm?: readonly number[];
}

const utf8 = new TextEncoder();
const NO_FIELDS: readonly UnknownField[] = [];

export function encodeModel(model: OnnxModel): Uint8Array {
  const message = model as unknown as Encodable;
  const lengths: number[] = [];
  const size = measureMessage("Model", message, lengths);
  const writer = new WireWriter(size, lengths);
  writer.message("Model", message);
  assert(writer.full, "an ONNX file was measured wrongly");
  return writer.bytes;
}

const isNumeric = (field: Field): boolean =>
  field.kind === "int" || field.kind === "float" || field.kind === "double";

/** True where a repeated number is written as one run of bytes. */
const isPacked = (field: Field, message: Encodable): boolean =>
  isNumeric(field) && field.packed !== (message.otherForm?.includes(field.number) ?? false);

/** The field's values, none where it is absent. */
function valuesOf(field: Field, message: Encodable): readonly unknown[] {
  const value = message[field.name];
  if (value === undefined) return [];
  return field.repeated ? (value as readonly unknown[]) : [value];
}

function varintBytes(value: Integer): number {
  if (value < 0) return 10;
  let bytes = 1;
  for (let limit = 128; bytes < 10 && value >= limit; limit *= 128) bytes++;
  return bytes;
}

function measureMessage(name: MessageName, message: Encodable, lengths: number[]): number {
  let size = 0;
  for (const field of SCHEMAS[name].fields) {
    const values = valuesOf(field, message);
    if (values.length === 0) continue;
    const tag = varintBytes(field.number * 8);
    if (field.repeated && isPacked(field, message)) {
      const place = lengths.push(0) - 1;
      let run = 0;
      for (const value of values) run += measureValue(field, value, lengths);
      lengths[place] = run;
      size += tag + varintBytes(run) + run;
    } else {
      for (const value of values) size += tag + measureValue(field, value, lengths);
    }
  }
  for (const field of message.unknownFields ?? NO_FIELDS) size += field.bytes.length;
  return size;
}

function measureValue(field: Field, value: unknown, lengths: number[]): number {
  switch (field.kind) {
    case "int":
      return varintBytes(value as Integer);
    case "float":
      return 4;
    case "double":
      return 8;
    case "bytes":
      return withLength((value as Uint8Array).length);
    case "string": {
      const length = utf8.encode(value as string).length;
      lengths.push(length);
      return withLength(length);
    }
    case "message": {
      const place = lengths.push(0) - 1;
      const length = measureMessage(field.message as MessageName, value as Encodable, lengths);
      lengths[place] = length;
      return withLength(length);
    }
  }
}

const withLength = (length: number): number => varintBytes(length) + length;

class WireWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #lengths: readonly number[];
  #nextLength = 0;
  #at = 0;

  constructor(size: number, lengths: readonly number[]) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
    this.#lengths = lengths;
  }

  get full(): boolean {
    return this.#at === this.bytes.length && this.#nextLength === this.#lengths.length;
  }

  message(name: MessageName, message: Encodable): void {
    const unknown = message.unknownFields ?? NO_FIELDS;
    let written = 0;
    for (const field of SCHEMAS[name].fields) {
      while (written < unknown.length && (unknown[written] as UnknownField).number < field.number) {
        this.#raw((unknown[written++] as UnknownField).bytes);
      }
      this.#field(field, message);
    }
    while (written < unknown.length) this.#raw((unknown[written++] as UnknownField).bytes);
  }

  #field(field: Field, message: Encodable): void {
    const values = valuesOf(field, message);
    if (values.length === 0) return;
    if (field.repeated && isPacked(field, message)) {
      this.#varint(field.number * 8 + WIRE_BYTES);
      this.#length();
      for (const value of values) this.#value(field, value);
      return;
    }
    for (const value of values) {
      this.#varint(field.number * 8 + wireTypeOf(field));
      this.#value(field, value);
    }
  }

  #value(field: Field, value: unknown): void {
    switch (field.kind) {
      case "int":
        this.#varint(value as Integer);
        break;
      case "float":
        this.#view.setFloat32(this.#at, value as number, true);
        this.#at += 4;
        break;
      case "double":
        this.#view.setFloat64(this.#at, value as number, true);
        this.#at += 8;
        break;
      case "bytes":
        this.#varint((value as Uint8Array).length);
        this.#raw(value as Uint8Array);
        break;
      case "string":
        this.#length();
        this.#at += utf8.encodeInto(value as string, this.bytes.subarray(this.#at)).written;
        break;
      case "message":
        this.#length();
        this.message(field.message as MessageName, value as Encodable);
        break;
    }
  }

  #length(): void {
    this.#varint(this.#lengths[this.#nextLength++] as number);
  }

  #raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Negative numbers are written in two's complement of 64 bits, as protobuf does. */
  #varint(value: Integer): void {
    let rest: Integer = value;
    if (typeof rest === "bigint" || rest < 0) {
      let wide = BigInt.asUintN(64, BigInt(rest));
      while (wide > 0x7fffffffn) {
        this.bytes[this.#at++] = Number(wide & 0x7fn) | 0x80;
        wide >>= 7n;
      }
      rest = Number(wide);
    }
    while (rest > 0x7f) {
      this.bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.#at++] = rest;
  }
}

function wireTypeOf(field: Field): number {
  if (field.kind === "int") return WIRE_VARINT;
  if (field.kind === "float") return WIRE_FIXED32;
  return field.kind === "double" ? WIRE_FIXED64 : WIRE_BYTES;
}
