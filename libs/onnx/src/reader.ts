/**
 * A cursor over the protobuf wire format that trusts nothing: every length is checked against the
 * message it stands in, so reading takes time in the bytes given and memory in none of them.
 * What is wrong leaves as a FaultError with MODEL_CORRUPT; the entry points make it a Result.
 */

import { FaultError } from "@millrace/protocol";

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

const WIRE_NAMES = ["varint", "fixed64", "bytes", "group", "end of group", "fixed32"];
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const corrupt = (message: string): FaultError => new FaultError("MODEL_CORRUPT", message);

/** Text from the file in a message: short, and without characters that would break a line. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 80));

export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #at: number;
  #fieldStart = 0;
  #wireType = 0;

  constructor(bytes: Uint8Array, from = 0, end = bytes.length, view?: DataView) {
    this.#bytes = bytes;
    this.#view = view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = from;
    this.#end = end;
  }

  /** Moves to the next field and returns its number, 0 at the end of the message. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    this.#fieldStart = this.#at;
    const tag = this.#varint();
    const field = typeof tag === "number" ? Math.floor(tag / 8) : 0;
    if (field < 1 || field > 0x1fffffff) {
      throw corrupt(`byte ${this.#fieldStart}: expected a field number of 1 to 536870911`);
    }
    this.#wireType = Number(tag) % 8;
    if (this.#wireType === 3 || this.#wireType === 4 || this.#wireType > WIRE_FIXED32) {
      throw corrupt(
        `byte ${this.#fieldStart}: field ${field} has wire type ${this.#wireType}, expected 0, 1, 2 or 5`,
      );
    }
    return field;
  }

  /** True where the current field is a run of bytes: a string, a message, or packed numbers. */
  get packed(): boolean {
    return this.#wireType === WIRE_BYTES;
  }

  /** A signed 64-bit integer: a number where it is safe, else a bigint. */
  int(): number | bigint {
    this.#expect(WIRE_VARINT);
    return this.#signed();
  }

  float(): number {
    this.#expect(WIRE_FIXED32);
    return this.#float();
  }

  double(): number {
    this.#expect(WIRE_FIXED64);
    return this.#double();
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    const end = this.#enter();
    const view = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  string(): string {
    const from = this.#at;
    try {
      return utf8.decode(this.bytes());
    } catch (error) {
      if (error instanceof FaultError) throw error;
      throw corrupt(`byte ${from}: expected a string in UTF-8`);
    }
  }

  /** A cursor over the message in the current field; this one goes on behind it. */
  message(): WireReader {
    const end = this.#enter();
    const inner = new WireReader(this.#bytes, this.#at, end, this.#view);
    this.#at = end;
    return inner;
  }

  /** Every integer of a repeated field, packed or not. */
  ints(visit: (value: number | bigint) => void): void {
    this.#each(WIRE_VARINT, () => visit(this.#signed()));
  }

  floats(visit: (value: number) => void): void {
    this.#each(WIRE_FIXED32, () => visit(this.#float()));
  }

  doubles(visit: (value: number) => void): void {
    this.#each(WIRE_FIXED64, () => visit(this.#double()));
  }

  /** The whole current field with its tag, skipped. A view, not a copy. */
  skip(): Uint8Array {
    switch (this.#wireType) {
      case WIRE_VARINT:
        this.#varint();
        break;
      case WIRE_FIXED64:
        this.#advance(8);
        break;
      case WIRE_FIXED32:
        this.#advance(4);
        break;
      default:
        this.#at = this.#enter();
    }
    return this.#bytes.subarray(this.#fieldStart, this.#at);
  }

  #each(wireType: number, visit: () => void): void {
    if (!this.packed) {
      this.#expect(wireType);
      visit();
      return;
    }
    const end = this.#enter();
    while (this.#at < end) visit();
    if (this.#at > end)
      throw corrupt(`byte ${end}: a packed number runs past the end of its field`);
  }

  #expect(wireType: number): void {
    if (this.#wireType === wireType) return;
    throw corrupt(
      `byte ${this.#fieldStart}: wire type is ${WIRE_NAMES[this.#wireType]}, expected ${WIRE_NAMES[wireType]}`,
    );
  }

  /** Reads a length; returns where the bytes end. */
  #enter(): number {
    this.#expect(WIRE_BYTES);
    const at = this.#at;
    const length = Number(this.#varint());
    if (length > this.#end - this.#at) {
      throw corrupt(
        `byte ${at}: a length of ${length} runs past the end, ${this.#end - this.#at} bytes are left`,
      );
    }
    return this.#at + length;
  }

  #advance(size: number): number {
    const from = this.#at;
    if (size > this.#end - from) throw corrupt(`byte ${from}: the file ends inside a number`);
    this.#at = from + size;
    return from;
  }

  #float(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }

  #double(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  #signed(): number | bigint {
    const value = this.#varint();
    if (typeof value === "number") return value;
    const signed = BigInt.asIntN(64, value);
    const near = Number(signed);
    return Number.isSafeInteger(near) ? near : signed;
  }

  /** Up to 49 bits are read as a number, which holds them exactly; more as a bigint. */
  #varint(): number | bigint {
    const from = this.#at;
    let value = 0;
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      const byte = this.#byte(from);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    let wide = BigInt(value);
    for (let shift = 49n; shift < 64n; shift += 7n) {
      const byte = this.#byte(from);
      wide |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80 && (shift < 63n || byte < 2)) return wide;
    }
    throw corrupt(`byte ${from}: a varint of more than 64 bits`);
  }

  #byte(from: number): number {
    if (this.#at >= this.#end) throw corrupt(`byte ${from}: the file ends inside a varint`);
    return this.#bytes[this.#at++] as number;
  }
}
