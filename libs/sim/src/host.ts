/**
 * One life of a simulated process: its core, its own clock, and what reaches it. It does what the
 * services' pump does, with the same rounding of timers: one event at a time, and one timer.
 */

import { assert } from "@millrace/std";
import type { Timeline } from "./timeline.ts";

export interface Core<Event, Effect> {
  step(event: Event, nowUs: number): readonly Effect[];
  readonly wakeAtUs: number;
}

export interface HostOptions<Event, Effect> {
  readonly timeline: Timeline;
  readonly core: Core<Event | { readonly type: "woke" }, Effect>;
  readonly perform: (effect: Effect) => void;
  /** What the process's clock shows at its start: no two processes agree on the time. */
  readonly clockUs: number;
}

/** Timers count milliseconds, rounded up. */
const TIMER_US = 1_000;

export class Host<Event, Effect> {
  readonly #options: HostOptions<Event, Effect>;
  readonly #aheadUs: number;
  readonly #mailbox: (() => void)[] = [];
  #state: "running" | "paused" | "stopped" = "running";
  #stepping = false;
  #armedUs = Infinity;

  constructor(options: HostOptions<Event, Effect>) {
    this.#options = options;
    this.#aheadUs = options.clockUs - options.timeline.nowUs;
    this.#arm(false);
  }

  /** The process's own clock. */
  get nowUs(): number {
    return this.#options.timeline.nowUs + this.#aheadUs;
  }

  get stopped(): boolean {
    return this.#state === "stopped";
  }

  get paused(): boolean {
    return this.#state === "paused";
  }

  post(event: Event): void {
    this.do(() => this.#step(event));
  }

  /** Does something in the process: now, or when it is no longer paused; never after its end. */
  do(task: () => void): void {
    if (this.#state === "stopped") return;
    this.#mailbox.push(task);
    if (this.#state === "running" && !this.#stepping) this.#work(false);
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  /** Everything that came meanwhile is there at once, and the clock has jumped. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#work(false);
  }

  stop(): void {
    this.#state = "stopped";
    this.#mailbox.length = 0;
  }

  #work(woke: boolean): void {
    this.#stepping = true;
    for (let at = 0; at < this.#mailbox.length; at++) this.#mailbox[at]?.();
    this.#mailbox.length = 0;
    this.#stepping = false;
    if (this.#state === "running") this.#arm(woke);
  }

  #step(event: Event | { readonly type: "woke" }): void {
    const { core, perform } = this.#options;
    for (const effect of core.step(event, this.nowUs)) {
      if (this.#state === "stopped") return;
      perform(effect);
    }
  }

  #arm(woke: boolean): void {
    const { core, timeline } = this.#options;
    const { wakeAtUs } = core;
    if (wakeAtUs === Infinity) return;
    assert(Number.isSafeInteger(wakeAtUs), `${wakeAtUs} is no whole microsecond to wake at`);
    const delayUs = Math.ceil((wakeAtUs - this.nowUs) / TIMER_US) * TIMER_US;
    const atUs = timeline.nowUs + Math.max(delayUs, woke ? TIMER_US : 0);
    if (atUs >= this.#armedUs) return;
    this.#armedUs = atUs;
    timeline.at(atUs, () => this.#look(atUs));
  }

  #look(atUs: number): void {
    if (this.#armedUs !== atUs || this.#state === "stopped") return;
    this.#armedUs = Infinity;
    if (this.#state === "paused") return;
    if (this.#options.core.wakeAtUs > this.nowUs) return this.#arm(true);
    this.#mailbox.push(() => this.#step({ type: "woke" }));
    this.#work(true);
  }
}
