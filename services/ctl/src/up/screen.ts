/** A terminal with lines that stay and, below them, one block that is drawn over itself. */

import { stripVTControlCharacters } from "node:util";

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;

export class Screen {
  readonly #terminal: Terminal;
  #block: readonly string[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Without one, a block is written as it is each time, so callers show it seldom. */
  get isTerminal(): boolean {
    return this.#terminal.isTTY === true;
  }

  /** A line that stays, above the block. */
  say(line: string): void {
    this.#terminal.write(`${this.#erase()}${line}\n${this.#drawn()}`);
  }

  /** Replaces the block. */
  show(block: string): void {
    const erase = this.#erase();
    this.#block = this.#fit(block.split("\n"));
    this.#terminal.write(`${erase}${this.#drawn()}`);
    if (!this.isTerminal) this.#block = [];
  }

  /** The block stays as it is, and what follows comes below it. */
  release(): void {
    this.#block = [];
  }

  #erase(): string {
    return this.#block.length === 0 ? "" : `\x1b[${this.#block.length}A\r\x1b[J`;
  }

  #drawn(): string {
    return this.#block.map((line) => `${line}\n`).join("");
  }

  /** A line that wrapped, or one above the top, could not be erased again. */
  #fit(lines: readonly string[]): readonly string[] {
    if (!this.isTerminal) return lines;
    const columns = this.#terminal.columns ?? COLUMNS_DEFAULT;
    const rows = (this.#terminal.rows ?? ROWS_DEFAULT) - 2;
    const fitting = lines.map((line) => {
      const plain = stripVTControlCharacters(line);
      return plain.length < columns ? line : plain.slice(0, columns - 1);
    });
    if (fitting.length <= rows) return fitting;
    return [...fitting.slice(0, rows - 1), `... ${fitting.length - rows + 1} more lines`];
  }
}
