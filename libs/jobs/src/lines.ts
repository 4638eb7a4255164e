/** Splits a stream of bytes into lines, in bounded memory: a line that is too long is skipped. */

export type Line =
  /** Without its line break; it may be empty. */
  { readonly kind: "line"; readonly bytes: Uint8Array } | { readonly kind: "tooLong" };

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const NO_BYTES = new Uint8Array(0);

export class LineSplitter {
  readonly #bytesMax: number;
  #parts: Uint8Array[] = [];
  #held = 0;
  #state: "reading" | "skipping" = "reading";

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are kept: at most those of the longest line. */
  get held(): number {
    return this.#held;
  }

  /** The lines that end in these bytes, which must not change while a line is unfinished. */
  *push(bytes: Uint8Array): Generator<Line> {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end === -1) break;
      yield this.#take(bytes.subarray(start, end));
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
  }

  /** What stands behind the last line break, if anything does. */
  end(): Line | undefined {
    if (this.#state === "reading" && this.#held === 0) return undefined;
    return this.#take(NO_BYTES);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#state === "skipping" || bytes.length === 0) return;
    this.#held += bytes.length;
    if (this.#held <= this.#bytesMax) this.#parts.push(bytes);
    else this.#skip();
  }

  #skip(): void {
    this.#state = "skipping";
    this.#parts = [];
    this.#held = 0;
  }

  #take(last: Uint8Array): Line {
    const isLong = this.#state === "skipping" || this.#held + last.length > this.#bytesMax;
    const bytes = isLong ? NO_BYTES : this.#join(last);
    this.#state = "reading";
    this.#parts = [];
    this.#held = 0;
    if (isLong) return { kind: "tooLong" };
    return { kind: "line", bytes: bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes };
  }

  #join(last: Uint8Array): Uint8Array {
    if (this.#held === 0) return last;
    const joined = new Uint8Array(this.#held + last.length);
    let at = 0;
    for (const part of [...this.#parts, last]) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }
}
