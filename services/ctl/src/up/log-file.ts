/** A process's log on disk: bounded, with the run before it kept beside it. */

import type { Log } from "@millrace/std";
import { closeSync, existsSync, openSync, renameSync, writeSync } from "node:fs";

const FILE_BYTES_MAX = 32 * 1024 * 1024;
const LAST_LINES_MAX = 12;

/** Writes are synchronous: few lines, and none may be lost when the process is killed. */
export class LogFile implements Disposable {
  readonly path: string;
  readonly #lastLines: string[] = [];
  readonly #bytesMax: number;
  /** Undefined once it is closed. */
  #file: number | undefined;
  #bytes = 0;

  constructor(path: string, bytesMax: number = FILE_BYTES_MAX) {
    this.path = path;
    this.#bytesMax = bytesMax;
    this.#file = this.#open();
  }

  /** For a message about a process that failed. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  write(line: string): void {
    // A process that is gone may have left somebody who still writes.
    if (this.#file === undefined) return;
    this.#lastLines.push(line);
    if (this.#lastLines.length > LAST_LINES_MAX) this.#lastLines.shift();
    if (this.#bytes > this.#bytesMax) {
      closeSync(this.#file);
      this.#file = this.#open();
      this.#bytes = 0;
    }
    this.#bytes += writeSync(this.#file, `${line}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** What was there becomes the previous file, so two of them are the most there can be (I6). */
  #open(): number {
    if (existsSync(this.path)) renameSync(this.path, `${this.path}.previous`);
    return openSync(this.path, "w", 0o600);
  }
}

/** Where the adapters of this process write: one JSON object per line, as the services do. */
export function fileLog(file: LogFile): Log {
  const at =
    (level: string) =>
    (fields: object, msg: string): void => {
      const line = { level, time: new Date().toISOString(), ...fields, msg };
      file.write(
        JSON.stringify(line, (_key, value: unknown) =>
          value instanceof Error ? { name: value.name, message: value.message } : value,
        ),
      );
    };
  return { debug: () => {}, info: at("info"), warn: at("warn"), error: at("error") };
}
