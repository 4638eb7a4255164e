/**
 * The part of a run that says most about its policy: the minute, or what it takes until nothing
 * waits, in which most requests were slow or failed; where none were, the one that was fullest. It
 * is short enough to be played again request by request.
 */

import { TICK_SECONDS } from "./load.ts";

export interface StretchTick {
  /** Urgent requests that came in the tick. */
  readonly urgent: number;
  /** Whether deferred requests wait for what capacity is left. */
  readonly fills: boolean;
  /** Workers that take work. */
  readonly ready: number;
}

/** It begins with nothing waiting, so that nobody has to know what was before. */
export interface Stretch {
  readonly firstTick: number;
  readonly ticks: readonly StretchTick[];
}

export const STRETCH_TICKS = 60 / TICK_SECONDS;
/** An overload that lasts longer is cut here. */
export const STRETCH_TICKS_MAX = 3 * STRETCH_TICKS;
/** Requests in a stretch: what is played one by one takes a second or two. */
export const STRETCH_REQUESTS_MAX = 250_000;

export interface ObservedTick extends StretchTick {
  /** Requests that waited before the tick. */
  readonly queued: number;
  /** Requests that were slow or failed in it. */
  readonly bad: number;
  /** Requests that the ready workers could have served in it. */
  readonly capacity: number;
}

export class WorstStretch {
  #worst: Stretch | undefined;
  #worstBad = -1;
  #worstUse = -1;
  #firstTick = -1;
  #ticks: StretchTick[] = [];
  #requests = 0;
  #bad = 0;
  #capacity = 0;

  /** Undefined where every tick had more requests than `STRETCH_REQUESTS_MAX`, or none. */
  finish(): Stretch | undefined {
    this.#end();
    return this.#worst;
  }

  add(tick: number, observed: ObservedTick): void {
    const { urgent, fills, ready, queued, bad, capacity } = observed;
    const length = this.#ticks.length;
    const isFull = this.#requests + urgent > STRETCH_REQUESTS_MAX || length >= STRETCH_TICKS_MAX;
    if (length > 0 && (isFull || (queued === 0 && length >= STRETCH_TICKS))) this.#end();
    if (this.#ticks.length === 0) {
      if (queued > 0 || urgent > STRETCH_REQUESTS_MAX) return;
      this.#firstTick = tick;
    }
    this.#ticks.push({ urgent, fills, ready });
    this.#requests += urgent;
    this.#bad += bad;
    this.#capacity += capacity;
  }

  #end(): void {
    const use = this.#requests / Math.max(1, this.#capacity);
    const isWorse =
      this.#bad > this.#worstBad || (this.#bad === this.#worstBad && use > this.#worstUse);
    if (isWorse && this.#requests > 0) {
      this.#worst = { firstTick: this.#firstTick, ticks: this.#ticks };
      this.#worstBad = this.#bad;
      this.#worstUse = use;
    }
    this.#ticks = [];
    [this.#requests, this.#bad, this.#capacity] = [0, 0, 0];
  }
}
