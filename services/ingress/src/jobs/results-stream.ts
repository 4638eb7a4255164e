/**
 * The results of a job as JSON lines, one per item and in their order, as fast as the client reads
 * them. An item that never ran, because its job was cancelled, has a line too.
 */

import { once } from "node:events";
import { errorLine, hasMember, isEnded } from "@millrace/jobs";
import { chunkToken, type Fault, fault, type JobRecord } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import type { JobStore } from "@millrace/store";
import type { Reply } from "../reply.ts";

/** A client that reads shows it at every piece of so much, however large the chunk. */
const PIECE_BYTES = 256 * 1024;
/** Lines of items that did not run are written so many at a time. */
const FILL_MAX = 1_000;
/** A client that takes nothing for so long is taken to be gone (I6). */
const STALLED_MS_MAX = 60_000;
const LINES_TYPE = "application/x-ndjson";

type Lines = Result<Uint8Array | undefined, Fault>;

export class ResultsStream {
  readonly #store: Pick<JobStore, "results">;
  readonly #record: JobRecord;
  readonly #reply: Reply;
  readonly #stalledMsMax: number;
  /** The item whose line comes next. */
  #next = 0;

  constructor(
    store: Pick<JobStore, "results">,
    record: JobRecord,
    reply: Reply,
    stalledMsMax = STALLED_MS_MAX,
  ) {
    this.#store = store;
    this.#record = record;
    this.#reply = reply;
    this.#stalledMsMax = stalledMsMax;
  }

  /** A fault as long as nothing was written; after that a broken connection says it. */
  async send(): Promise<Result<void, Fault>> {
    const { chunks, finished } = this.#record;
    let begun = false;
    for (let chunk = 0; chunk < chunks; chunk++) {
      if (!hasMember(finished, chunk)) continue;
      // Nothing is read ahead of the client (I6): a chunk may be as large as a response.
      const lines = await this.#read(chunk);
      if (!lines.ok || (lines.value === undefined && !begun)) {
        const gone = fault("RESULTS_GONE", "the results of this job are no longer kept");
        if (begun) this.#reply.destroy();
        return begun ? ok(undefined) : fail(lines.ok ? gone : lines.error);
      }
      if (!begun) this.#begin();
      begun = true;
      if (lines.value !== undefined && !(await this.#write(lines.value))) return ok(undefined);
    }
    if (!begun) this.#begin();
    // A client that asked for what there is so far gets no lines of what is still to come.
    if (isEnded(this.#record)) await this.#fill(this.#record.items);
    this.#reply.end();
    return ok(undefined);
  }

  #read(chunk: number): Promise<Lines> {
    const { tenant, id: job, generation } = this.#record;
    return this.#store.results.read({ tenant, job, token: chunkToken(generation, chunk) });
  }

  #begin(): void {
    const reply = this.#reply;
    const { items, finishedItems } = this.#record;
    reply.state = "answered";
    reply.writeHead(200, [
      "Content-Type",
      LINES_TYPE,
      "Millrace-Items",
      String(items),
      "Millrace-Items-Ended",
      String(finishedItems),
      ...(reply.isLast ? ["Connection", "close"] : []),
    ]);
  }

  async #write(lines: Uint8Array): Promise<boolean> {
    const first = firstItem(lines);
    if (!(await this.#fill(first))) return false;
    this.#next = first + countLines(lines);
    return this.#push(lines);
  }

  /** Lines for what has none, up to the item `end`. */
  async #fill(end: number): Promise<boolean> {
    const reason =
      this.#record.state === "cancelled"
        ? fault("CANCELLED", "the job was cancelled before this item had run")
        : isEnded(this.#record)
          ? fault("RESULTS_GONE", "the result of this item is no longer kept")
          : fault("JOB_NOT_ENDED", "this item has no result yet");
    while (this.#next < end) {
      const until = Math.min(end, this.#next + FILL_MAX);
      let lines = "";
      for (; this.#next < until; this.#next++) lines += `${errorLine(this.#next, reason)}\n`;
      if (!(await this.#push(lines))) return false;
    }
    return true;
  }

  /** False when the client is gone. */
  async #push(lines: Uint8Array | string): Promise<boolean> {
    const bytes = typeof lines === "string" ? Buffer.from(lines) : lines;
    const reply = this.#reply;
    for (let at = 0; at < bytes.length && !reply.destroyed; at += PIECE_BYTES) {
      if (!reply.write(bytes.subarray(at, at + PIECE_BYTES))) await this.#taken();
    }
    return !reply.destroyed;
  }

  /** Until the client has taken what was written, or is gone. */
  async #taken(): Promise<void> {
    const reply = this.#reply;
    const waiting = new AbortController();
    const { signal } = waiting;
    const stalled = setTimeout(() => reply.destroy(), this.#stalledMsMax);
    const events = ["drain", "close"].map((event) => once(reply, event, { signal }));
    await Promise.race(events).catch(() => undefined);
    clearTimeout(stalled);
    // The listener for the other event would stay until the response is closed.
    waiting.abort();
  }
}

const NEWLINE = 0x0a;
const HEAD_BYTES = 32;

/** Lines are written by `resultLine` and `errorLine`, which begin with the item's number. */
const firstItem = (lines: Uint8Array): number =>
  Number(
    /^\{"item":(\d+)/.exec(Buffer.from(lines.subarray(0, HEAD_BYTES)).toString("latin1"))?.[1],
  );

function countLines(lines: Uint8Array): number {
  let count = 0;
  for (let at = lines.indexOf(NEWLINE); at !== -1; at = lines.indexOf(NEWLINE, at + 1)) count++;
  return count;
}
