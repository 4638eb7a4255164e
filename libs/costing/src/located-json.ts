/** Reads JSON so that every value knows its line, for messages that say where a file is wrong. */

import { fail, ok, type Result } from "@millrace/std";

export interface Located {
  readonly line: number;
  readonly value:
    | string
    | number
    | boolean
    | null
    | readonly Located[]
    | ReadonlyMap<string, Located>;
}

/** What is wrong, at which path of the document (`offers[3].zone`) and in which line. */
export interface Problem {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export const describeProblem = ({ path, line, message }: Problem): string =>
  `line ${line}: ${path === "" ? "" : `${path}: `}${message}`;

const DEPTH_MAX = 32;
const LITERALS: readonly (readonly [string, boolean | null])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

class Unreadable extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Located {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#refuse("nothing more after the document");
    return value;
  }

  #refuse(expected: string): never {
    const found = this.#text[this.#at];
    const what = found === undefined ? "the end of the file" : JSON.stringify(found);
    throw new Unreadable(this.#line, `expected ${expected}, found ${what}`);
  }

  #space(): void {
    for (; " \t\r\n".includes(this.#text[this.#at] ?? "x"); this.#at++) {
      if (this.#text[this.#at] === "\n") this.#line++;
    }
  }

  /** Takes the character if it is next. */
  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #value(depth: number): Located {
    if (depth > DEPTH_MAX) this.#refuse(`at most ${DEPTH_MAX} levels`);
    this.#space();
    const line = this.#line;
    if (this.#take("{")) return { line, value: this.#members(depth) };
    if (this.#take("[")) return { line, value: this.#items(depth) };
    if (this.#text[this.#at] === '"') return { line, value: this.#string() };
    for (const [word, value] of LITERALS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return { line, value };
    }
    const [digits] = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(
      this.#text.slice(this.#at, this.#at + 64),
    ) ?? [""];
    if (digits === "") this.#refuse("a value");
    this.#at += digits.length;
    return { line, value: Number(digits) };
  }

  #string(): string {
    const [literal] = /^"(?:[^"\\\n]|\\.)*"/.exec(this.#text.slice(this.#at)) ?? [];
    if (literal === undefined) this.#refuse("a string that ends in its line");
    this.#at += literal.length;
    try {
      return JSON.parse(literal) as string;
    } catch {
      throw new Unreadable(this.#line, `the string ${literal} has an escape that JSON lacks`);
    }
  }

  #items(depth: number): Located[] {
    const items: Located[] = [];
    if (this.#take("]")) return items;
    do items.push(this.#value(depth + 1));
    while (this.#take(","));
    if (!this.#take("]")) this.#refuse('"," or "]"');
    return items;
  }

  #members(depth: number): Map<string, Located> {
    const members = new Map<string, Located>();
    if (this.#take("}")) return members;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#refuse("a name in quotes");
      const line = this.#line;
      const name = this.#string();
      if (members.has(name)) throw new Unreadable(line, `"${name}" is given twice`);
      if (!this.#take(":")) this.#refuse('":"');
      members.set(name, this.#value(depth + 1));
    } while (this.#take(","));
    if (!this.#take("}")) this.#refuse('"," or "}"');
    return members;
  }
}

/** @returns the document, or where it stops being JSON. */
export function readLocated(text: string): Result<Located, Problem> {
  try {
    return ok(new Reader(text).document());
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return fail({ path: "", line: error.line, message: `not JSON: ${error.message}` });
  }
}
