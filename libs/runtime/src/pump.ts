/**
 * Runs a core: one event at a time, effects in their order, one timer for when the core wants to be
 * woken. It is the same for every service.
 *
 * - An event that is posted while another is handled waits until that one's effects are performed.
 * - The timer counts milliseconds, rounded up. It never spins: a core that wants to be woken at
 *   once is woken when the turn of the event loop ends, and again no sooner than in a millisecond.
 * - An exception in the core or in the performance of an effect is a bug, and ends the process.
 */

import { assert } from "@millrace/std";

export interface Core<Event, Effect> {
  /** Synchronous. The effects are performed in order. */
  step(event: Event, nowUs: number): readonly Effect[];
  /** When the core wants a `woke` event; Infinity for never. */
  readonly wakeAtUs: number;
}

/** The one event that the pump posts by itself. */
export interface Woke {
  readonly type: "woke";
}

export interface PumpOptions<Event, Effect> {
  readonly core: Core<Event | Woke, Effect>;
  readonly perform: (effect: Effect) => void;
  readonly nowUs: () => number;
}

export interface Pump<Event> {
  post(event: Event): void;
  /** Nothing is handled or performed after this. */
  stop(): void;
}

const WOKE: Woke = { type: "woke" };
/** Events posted while one is handled. More than this is a loop between core and effects. */
const MAILBOX_MAX = 1 << 16;
/** Longer delays are reached in several looks; Node's timers end at 2^31 ms. */
const TIMER_MS_MAX = 60_000;

export const createPump = <Event, Effect>(options: PumpOptions<Event, Effect>): Pump<Event> =>
  new RunningPump(options);

class RunningPump<Event, Effect> implements Pump<Event> {
  readonly #options: PumpOptions<Event, Effect>;
  readonly #mailbox: (Event | Woke)[] = [];
  #state: "idle" | "stepping" | "stopped" = "idle";
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  /** A timer that is earlier than wanted is left, and looks again: cheaper than to move it. */
  #armedUs = Infinity;

  constructor(options: PumpOptions<Event, Effect>) {
    this.#options = options;
    this.#arm(false);
  }

  post(event: Event | Woke): void {
    if (this.#state === "stopped") return;
    this.#mailbox.push(event);
    if (this.#state === "idle") this.#run(event === WOKE);
    // I6
    else assert(this.#mailbox.length <= MAILBOX_MAX, `more than ${MAILBOX_MAX} events in one step`);
  }

  stop(): void {
    this.#state = "stopped";
    this.#mailbox.length = 0;
    this.#disarm();
  }

  #run(woke: boolean): void {
    this.#state = "stepping";
    try {
      // The mailbox grows meanwhile, and is empty when the pump was stopped.
      for (let at = 0; at < this.#mailbox.length; at++) this.#step(this.#mailbox[at] as Event);
    } catch (bug) {
      this.stop();
      // From outside every handler and promise that could swallow it.
      process.nextTick(() => {
        throw bug;
      });
    }
    this.#mailbox.length = 0;
    if (this.#isStopped()) return;
    this.#state = "idle";
    this.#arm(woke);
  }

  #step(event: Event | Woke): void {
    const { core, perform, nowUs } = this.#options;
    for (const effect of core.step(event, nowUs())) {
      if (this.#isStopped()) return;
      perform(effect);
    }
  }

  #isStopped(): boolean {
    return this.#state === "stopped";
  }

  #arm(woke: boolean): void {
    const { wakeAtUs } = this.#options.core;
    if (wakeAtUs >= this.#armedUs) return;
    this.#disarm();
    this.#armedUs = wakeAtUs;
    const delayMs = Math.ceil((wakeAtUs - this.#options.nowUs()) / 1000);
    if (delayMs <= 0 && !woke) {
      this.#immediate = setImmediate(() => this.#look());
    } else {
      this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(delayMs, 1), TIMER_MS_MAX));
    }
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#armedUs = Infinity;
  }

  #look(): void {
    this.#armedUs = Infinity;
    if (this.#options.core.wakeAtUs <= this.#options.nowUs()) this.post(WOKE);
    else this.#arm(true);
  }
}
