/**
 * One direction of a connection: reads one socket and writes the other, under the conditions of the
 * moment. Order is kept, except where a message fault swaps two; what waits is bounded, and beyond
 * that the sender is not read (I6).
 */

import type { Socket } from "node:net";
import type { Random } from "@millrace/std";
import { CALM, type Conditions } from "./conditions.ts";
import { FrameSplitter, type Unit } from "./frames.ts";

const WAITING_BYTES_MAX = 4 * 1024 * 1024;
/** Behind a narrow link the sender shall feel it. */
const NARROW_BYTES_MAX = 64 * 1024;
/** A narrow link passes pieces of what it carries in this time. */
const PIECE_MS = 20;

export interface PipeCounters {
  bytes: number;
  lost: number;
  repeated: number;
  swapped: number;
  stalled: number;
}

export interface PipeOptions {
  readonly source: Socket;
  readonly sink: Socket;
  readonly random: Random;
  readonly counters: PipeCounters;
  /** A fault, or a stream that is not of NATS, ends the whole connection. */
  readonly cut: () => void;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly atMs: number;
}

export class Pipe {
  readonly #options: PipeOptions;
  readonly #splitter = new FrameSplitter();
  #conditions: Conditions = CALM;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** When the last one that was queued is due. */
  #lastAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  /** A message that waits to be overtaken. */
  #overtaken: { readonly unit: Unit; readonly timer: NodeJS.Timeout } | undefined;
  #ended = false;
  #full = false;

  constructor(options: PipeOptions) {
    this.#options = options;
    const { source, sink } = options;
    source.on("data", (chunk: Buffer) => this.#read(chunk));
    source.on("end", () => {
      this.#ended = true;
      this.#flush();
    });
    sink.on("drain", () => {
      this.#full = false;
      this.#flush();
    });
  }

  /** From now on; what waits already keeps its time. */
  set conditions(conditions: Conditions) {
    this.#conditions = conditions;
    if (conditions.messages.length === 0) this.#release();
    this.#flush();
  }

  /** Nothing is read or written any more. */
  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#overtaken?.timer);
    this.#overtaken = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #read(chunk: Buffer): void {
    const { messages, cuts } = this.#conditions;
    this.#options.counters.bytes += chunk.length;
    if (cuts.some(({ probability }) => this.#options.random.chance(probability))) {
      return this.#options.cut();
    }
    let units: readonly Unit[];
    try {
      units = this.#splitter.push(chunk, messages.length > 0);
    } catch {
      return this.#options.cut();
    }
    for (const unit of units) {
      if (unit.subject === undefined || messages.length === 0) this.#queue(unit.bytes);
      else this.#message(unit, unit.subject);
    }
    this.#flush();
  }

  #message(unit: Unit, subject: string): void {
    const { counters, random } = this.#options;
    let times = 1;
    for (const effect of this.#conditions.messages) {
      if (!subject.startsWith(effect.subject) || !random.chance(effect.probability)) continue;
      if (effect.type === "lose") {
        counters.lost++;
        return;
      }
      if (effect.type === "repeat") {
        counters.repeated++;
        times++;
      } else if (this.#overtaken === undefined) {
        const timer = setTimeout(() => {
          this.#release();
          this.#flush();
        }, effect.waitUs / 1000);
        this.#overtaken = { unit, timer };
        return;
      }
    }
    for (let time = 0; time < times; time++) this.#queue(unit.bytes);
    if (this.#overtaken !== undefined) {
      counters.swapped++;
      this.#release();
    }
  }

  #release(): void {
    if (this.#overtaken === undefined) return;
    clearTimeout(this.#overtaken.timer);
    const { unit } = this.#overtaken;
    this.#overtaken = undefined;
    this.#queue(unit.bytes);
  }

  #queue(bytes: Buffer): void {
    const { delays, stalls, bytesPerSecond } = this.#conditions;
    const { random, counters } = this.#options;
    let atMs = performance.now();
    for (const { delayUs, jitterUs } of delays) {
      atMs += (delayUs + random.next() * jitterUs) / 1000;
    }
    for (const { probability, stallUs } of stalls) {
      if (!random.chance(probability)) continue;
      counters.stalled++;
      atMs += stallUs / 1000;
    }
    const pieceBytes =
      bytesPerSecond === undefined
        ? bytes.length
        : Math.max(1, Math.ceil((bytesPerSecond * PIECE_MS) / 1000));
    this.#lastAtMs = Math.max(this.#lastAtMs, atMs);
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      const piece = bytes.subarray(from, from + pieceBytes);
      if (bytesPerSecond !== undefined) this.#lastAtMs += (piece.length / bytesPerSecond) * 1000;
      this.#waiting.push({ bytes: piece, atMs: this.#lastAtMs });
      this.#waitingBytes += piece.length;
    }
  }

  /** Writes what is due, and decides whether more is read. */
  #flush(): void {
    clearTimeout(this.#timer);
    const { source, sink } = this.#options;
    const { held, bytesPerSecond } = this.#conditions;
    const nowMs = performance.now();
    let passed = 0;
    for (const next of held ? [] : this.#waiting) {
      if (this.#full || next.atMs > nowMs) break;
      passed++;
      this.#waitingBytes -= next.bytes.length;
      // After an end that the other side has seen nothing can be written.
      if (sink.writable) this.#full = !sink.write(next.bytes);
    }
    if (passed > 0) this.#waiting.splice(0, passed);
    const [next] = this.#waiting;
    if (next === undefined && this.#ended && this.#overtaken === undefined && !held) sink.end();
    if (next !== undefined && !held && !this.#full) {
      this.#timer = setTimeout(() => this.#flush(), Math.max(0, next.atMs - nowMs));
    }
    const most = bytesPerSecond === undefined ? WAITING_BYTES_MAX : NARROW_BYTES_MAX;
    if (held || this.#full || this.#waitingBytes >= most) source.pause();
    else if (source.isPaused()) source.resume();
  }
}
