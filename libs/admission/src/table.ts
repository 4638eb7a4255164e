/** The open requests, and when each of them wants attention next. */

import { assert, Heap, NumberMap } from "@millrace/std";
import type { Request } from "./events.ts";
import type { Model } from "./models.ts";

/** A ticket that may still be answered. */
export interface Lane {
  readonly attempt: number;
  readonly scheduler: string;
  readonly sentUs: number;
  readonly hedge: boolean;
}

/** An attempt that ended with the loss of its worker. */
export interface Loss {
  readonly attempt: number;
  /** Which process it was: a worker that was restarted is another. */
  readonly worker: string;
  /** When it became known. */
  readonly atUs: number;
}

export interface Open {
  readonly seq: number;
  readonly request: Request;
  readonly model: Model;
  readonly arrivedUs: number;
  /** The number of the last ticket; 0 before the first. */
  attempt: number;
  /** Tickets that count as attempts: the first, retries and the hedge. */
  tries: number;
  /** At most the ticket and its hedge; none while it waits for a scheduler or for its next try. */
  lanes: readonly Lane[];
  /** The input may be the cause of these. */
  lost: readonly Loss[];
  /** When to try again; Infinity while it waits for a scheduler, or has a lane. */
  retryAtUs: number;
  /** When to consider the one hedge; Infinity before the first ticket and after that moment. */
  hedgeAtUs: number;
  hedged: boolean;
  /** When the table will next name it. */
  timerUs: number;
  settled: boolean;
}

interface Timer {
  readonly atUs: number;
  readonly open: Open;
}

/**
 * Timers that are no longer wanted are removed when there are so many beyond two for each request.
 * Each keeps its request: with a thousand of them requests grew old enough for the old generation.
 */
const STALE_TIMERS_MAX = 32;

/** When the request wants attention: its deadline, or what comes before. */
export const nextUs = (open: Open): number =>
  Math.min(open.request.deadlineUs, open.retryAtUs, open.hedgeAtUs);

export class Table {
  readonly #open = new NumberMap<Open>();
  readonly #timers = new Heap<Timer>((a, b) => a.atUs < b.atUs);
  #bytes = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Of the bodies of all open requests. */
  get bytes(): number {
    return this.#bytes;
  }

  get(seq: number): Open | undefined {
    return this.#open.get(seq);
  }

  values(): readonly Open[] {
    return this.#open.values();
  }

  add(open: Open): void {
    assert(!this.#open.has(open.seq), "a request was opened twice");
    this.#open.set(open.seq, open);
    this.#bytes += open.request.bodyBytes;
    this.arm(open);
  }

  /** I1: a request is settled once, because only one caller gets to remove it. */
  remove(open: Open): void {
    assert(!open.settled, "a request was settled twice");
    open.settled = true;
    this.#open.delete(open.seq);
    this.#bytes -= open.request.bodyBytes;
  }

  /** Sees to it that the request is named in time; a later timer that it already has stays. */
  arm(open: Open): void {
    const atUs = nextUs(open);
    if (atUs >= open.timerUs) return;
    open.timerUs = atUs;
    this.#timers.push({ atUs, open });
    if (this.#timers.size > 2 * this.#open.size + STALE_TIMERS_MAX) {
      this.#timers.removeWhere((timer) => isStale(timer));
    }
  }

  /** When {@link due} will next name a request; Infinity for never. */
  get wakeAtUs(): number {
    this.#dropStale();
    return this.#timers.peek()?.atUs ?? Infinity;
  }

  /** A request whose time has come; the caller arms it again unless it removes it. */
  due(nowUs: number): Open | undefined {
    this.#dropStale();
    const timer = this.#timers.peek();
    if (timer === undefined || timer.atUs > nowUs) return undefined;
    this.#timers.pop();
    timer.open.timerUs = Infinity;
    return timer.open;
  }

  #dropStale(): void {
    for (let top = this.#timers.peek(); top !== undefined; top = this.#timers.peek()) {
      if (!isStale(top)) return;
      this.#timers.pop();
    }
  }
}

/** Its request is settled, or has an earlier timer, which will set the next. */
const isStale = ({ atUs, open }: Timer): boolean => open.settled || atUs !== open.timerUs;
