/**
 * The items of one chunk, all at once and each until it has a result: what the cluster cannot serve
 * now is tried again, what may be the item's own doing a few times, what is final is its result.
 */

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Chunk,
  errorLine,
  type Item,
  itemDelayUs,
  judge,
  PATIENCE_US,
  SUSPECT_TRIES_MAX,
} from "@millrace/jobs";
import { CHUNK_RESULT_BYTES_MAX, type Fault, fault } from "@millrace/protocol";
import { formatBytes, type Result } from "@millrace/std";
import type { Asker } from "./asker.ts";

export type ChunkOutcome =
  | { readonly kind: "results"; readonly lines: Uint8Array; readonly failed: number }
  /** Nothing of it could be served for so long that somebody else may try. */
  | { readonly kind: "waited"; readonly reason: Fault }
  | { readonly kind: "stopped" };

export interface ChunkRunOptions {
  readonly asker: Pick<Asker, "ask">;
  readonly nowUs: () => number;
  readonly chance: () => number;
}

const MS_US = 1000;

export class ChunkRun {
  readonly #options: ChunkRunOptions;
  readonly #chunk: Chunk;
  readonly #signal: AbortSignal;
  /** Ends the tries of all items when one has waited for too long. */
  readonly #giveUp = new AbortController();
  #progressUs: number;
  #bytes = 0;
  #failed = 0;
  #reason: Fault | undefined;

  constructor(options: ChunkRunOptions, chunk: Chunk, signal: AbortSignal) {
    this.#options = options;
    this.#chunk = chunk;
    this.#signal = AbortSignal.any([signal, this.#giveUp.signal]);
    // Every item listens.
    setMaxListeners(0, this.#signal);
    this.#progressUs = options.nowUs();
  }

  async run(): Promise<ChunkOutcome> {
    const { head, items } = this.#chunk;
    const lines = await Promise.all(items.map((item, at) => this.#settle(item, head.first + at)));
    if (this.#reason !== undefined) return { kind: "waited", reason: this.#reason };
    if (this.#signal.aborted) return { kind: "stopped" };
    const bytes = Buffer.from(`${lines.join("\n")}\n`);
    return { kind: "results", lines: bytes, failed: this.#failed };
  }

  /** The item's line; anything once the run is over. */
  async #settle(item: Item, number: number): Promise<string> {
    if (!item.ok) return this.#fail(number, item.error);
    const { tenant, model, version } = this.#chunk.head;
    const question = { tenant, model, version, item: number, json: item.json };
    let suspected = 0;
    for (let attempt = 1; !this.#signal.aborted; attempt++) {
      const answer = await this.#options.asker.ask(question, this.#signal);
      if (this.#signal.aborted) break;
      if (answer.ok) return this.#keep(number, answer.value);
      const verdict = judge(answer.error.code);
      if (verdict === "suspect") suspected++;
      if (verdict === "final" || suspected >= SUSPECT_TRIES_MAX) {
        return this.#fail(number, answer.error);
      }
      this.#lookAtTime(verdict, answer);
      const delayMs = itemDelayUs(attempt, this.#options.chance()) / MS_US;
      await sleep(delayMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
    return "";
  }

  #lookAtTime(verdict: "suspect" | "wait", answer: Result<unknown, Fault>): void {
    const { nowUs } = this.#options;
    if (verdict === "suspect" || answer.ok) return;
    if (nowUs() - this.#progressUs < PATIENCE_US) return;
    this.#reason ??= answer.error;
    this.#giveUp.abort();
  }

  #keep(number: number, line: string): string {
    this.#progressUs = this.#options.nowUs();
    this.#bytes += line.length;
    if (this.#bytes <= CHUNK_RESULT_BYTES_MAX) return line;
    // I6: what a chunk's results may take together.
    const most = formatBytes(CHUNK_RESULT_BYTES_MAX);
    this.#bytes -= line.length;
    return this.#fail(number, fault("OUTPUT_TOO_LARGE", `a chunk's results may have ${most}`));
  }

  #fail(number: number, reason: Fault): string {
    this.#progressUs = this.#options.nowUs();
    this.#failed++;
    return errorLine(number, reason);
  }
}
