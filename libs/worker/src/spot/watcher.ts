/**
 * Watches for the notice that this machine is taken away, and says when the drain has to begin. It
 * asks every second, begins two minutes ahead at the most, and takes nothing that it cannot read
 * for a notice.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { formatUs, type Log } from "@millrace/std";
import type { Notice, NoticeReader } from "./providers.ts";

export interface WatcherOptions {
  readonly read: NoticeReader;
  readonly everyMs: number;
  readonly log: Log;
  /** The result of every reading, for a counter: `none`, `notice`, `unreadable`. */
  readonly counted: (outcome: string) => void;
}

/** Drains of minutes are for machines that announce an hour ahead: until then it works on. */
const LEAD_MS = 120_000;
/** A notice for a moment that is past, as by a clock that is wrong, still gives this long. */
const GRACE_MS_MIN = 5_000;

/** A notice that is due, and the milliseconds that are left. */
export interface DueNotice {
  readonly action: string;
  readonly leftMs: number;
}

export class NoticeWatcher {
  readonly #options: WatcherOptions;
  #problem: string | undefined;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  /** Resolves with the notice when the drain has to begin; undefined when `signal` was aborted. */
  async due(signal: AbortSignal): Promise<DueNotice | undefined> {
    while (!signal.aborted) {
      const notice = await this.now();
      if (notice !== undefined) return notice;
      await this.#pause(signal);
    }
    return undefined;
  }

  /**
   * Resolves once no notice is due: a process that is started again on a machine that is taken away
   * must not join. What cannot be read keeps nobody out.
   */
  async clear(signal: AbortSignal): Promise<void> {
    let told = false;
    while (!signal.aborted) {
      const notice = await this.now();
      if (notice === undefined) return;
      if (!told) this.#options.log.warn(notice, "this machine is taken away: the worker waits");
      told = true;
      await this.#pause(signal);
    }
  }

  /** The notice that is due now. */
  async now(): Promise<DueNotice | undefined> {
    const { counted, log, read } = this.#options;
    const reading = await read();
    const problem = reading.ok ? undefined : reading.error;
    // Once for each problem: it is asked every second.
    if (problem !== this.#problem) {
      if (problem === undefined) log.info({}, "spot notices can be read");
      else log.warn({ problem }, "spot notices cannot be read");
    }
    this.#problem = problem;
    if (!reading.ok) {
      counted("unreadable");
      return undefined;
    }
    counted(reading.value === undefined ? "none" : "notice");
    return reading.value === undefined ? undefined : dueNotice(reading.value, Date.now());
  }

  async #pause(signal: AbortSignal): Promise<void> {
    await sleep(this.#options.everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Undefined while it is further ahead than a drain can take. */
export function dueNotice({ action, atMs }: Notice, nowMs: number): DueNotice | undefined {
  const leftMs = atMs - nowMs;
  return leftMs > LEAD_MS ? undefined : { action, leftMs: Math.max(leftMs, GRACE_MS_MIN) };
}

export const describeNotice = ({ action, leftMs }: DueNotice): string =>
  `spot notice: ${action} in ${formatUs(leftMs * 1000)}`;
