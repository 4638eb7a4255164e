/** The last things that happened, kept as they are and written out only when somebody asks. */

import type { Timeline } from "./timeline.ts";

interface Event {
  readonly atUs: number;
  readonly process: string;
  readonly what: string;
  readonly detail: unknown;
}

const EVENTS_MAX = 30;

export class Trace {
  readonly #timeline: Timeline;
  readonly #print: ((line: string) => void) | undefined;
  readonly #events: (Event | undefined)[] = Array.from({ length: EVENTS_MAX });
  #next = 0;
  #frozen = false;

  constructor(timeline: Timeline, print: ((line: string) => void) | undefined) {
    this.#timeline = timeline;
    this.#print = print;
  }

  note(process: string, what: string, detail: unknown): void {
    const event = { atUs: this.#timeline.nowUs, process, what, detail };
    this.#print?.(lineOf(event));
    if (this.#frozen) return;
    this.#events[this.#next % EVENTS_MAX] = event;
    this.#next++;
  }

  /** What happens from now on is not kept. */
  freeze(): void {
    this.#frozen = true;
  }

  lines(): string[] {
    const lines: string[] = [];
    for (let at = 0; at < EVENTS_MAX; at++) {
      const event = this.#events[(this.#next + at) % EVENTS_MAX];
      if (event !== undefined) lines.push(lineOf(event));
    }
    return lines;
  }
}

const DETAIL_MAX = 200;

function lineOf({ atUs, process, what, detail }: Event): string {
  const text = JSON.stringify(detail);
  const shown = text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX)}...` : text;
  return `${String(atUs).padStart(9)} us  ${process.padEnd(13)} ${what.padEnd(10)} ${shown}`;
}
