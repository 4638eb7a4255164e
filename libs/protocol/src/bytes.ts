/**
 * A writer and a reader of little-endian fields over one Uint8Array. The writer's size is known
 * before it starts, so a frame is one allocation; short strings are ASCII with a length byte.
 */

export class ByteWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  get at(): number {
    return this.#at;
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  ascii(text: string): void {
    this.u8(text.length);
    for (let at = 0; at < text.length; at++) this.bytes[this.#at + at] = text.charCodeAt(at);
    this.#at += text.length;
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

/** Reading past the end throws RangeError; decoders turn that into a refusal of the whole frame. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  u16(): number {
    const value = this.#view.getUint16(this.#at, true);
    this.#at += 2;
    return value;
  }

  u32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  ascii(): string {
    const length = this.u8();
    this.#need(length);
    let text = "";
    const end = this.#at + length;
    for (let at = this.#at; at < end; at++) text += String.fromCharCode(this.bytes[at] as number);
    this.#at = end;
    return text;
  }

  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    this.#need(length);
    const view = this.bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }

  #need(length: number): void {
    if (length > this.left) throw new RangeError(`${length} bytes wanted, ${this.left} left`);
  }
}
