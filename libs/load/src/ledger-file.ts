/** The ledger on disk: appended to while the load runs, read when it has ended. */

import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import type { JobEntry, LedgerEntry, RequestEntry } from "./settings.ts";

export class LedgerFile {
  readonly #stream: WriteStream;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { flags: "wx", mode: 0o600 });
  }

  add(entry: LedgerEntry): void {
    this.#stream.write(`${JSON.stringify(entry)}\n`);
  }

  /** Resolves when everything is in the file. */
  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream);
  }
}

export interface Ledger {
  readonly requests: readonly RequestEntry[];
  readonly jobs: readonly JobEntry[];
}

/** @throws Error for a line that is none of a ledger's. */
export async function readLedger(path: string): Promise<Ledger> {
  const requests: RequestEntry[] = [];
  const jobs: JobEntry[] = [];
  for await (const line of createInterface({
    input: createReadStream(path),
    crlfDelay: Infinity,
  })) {
    if (line === "") continue;
    const entry = JSON.parse(line) as LedgerEntry;
    if (entry.type === "request") requests.push(entry);
    else jobs.push(entry);
  }
  return { requests, jobs };
}
