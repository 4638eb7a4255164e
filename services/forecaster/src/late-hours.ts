/**
 * Hours that were rolled up before all of their minutes were there: an ingress caught up, or load
 * was imported. What they lack is written as a further fact of the hour, and readers add facts up.
 *
 * What is lacking is the minutes that are kept less the facts of the hour that are there, so it is
 * written once whoever looks and however often, and one look mends what an earlier one left out. It
 * reads a part of the stream of minutes again, which nobody waits for.
 */

import type { openHourFacts, openMinuteFacts } from "@millrace/history";
import { DAY_US, factKey, HOUR_US, rollUp } from "@millrace/load-facts";
import { LOAD_AMOUNTS, type LoadFact } from "@millrace/protocol";
import type { Log } from "@millrace/std";

export interface LateHoursOptions {
  readonly minutes: Pick<ReturnType<typeof openMinuteFacts>, "readPages">;
  readonly hours: Pick<ReturnType<typeof openHourFacts>, "append" | "readPages">;
  readonly log: Log;
}

/** Late facts come in bursts: an hour is looked at so long after the first of them. */
const SETTLED_US = 300_000_000;
/** I6: hours that are looked at together, whose minutes are in memory then. */
const TOGETHER_MAX = 168;
/** I6: hours that wait; as many as are kept. */
const WAITING_MAX = 800 * 24;

export class LateHours {
  readonly #options: LateHoursOptions;
  /** By the hour's start: when it was first seen to wait, if it was. */
  readonly #waiting = new Map<number, number | undefined>();
  #isBusy = false;

  constructor(options: LateHoursOptions) {
    this.#options = options;
  }

  /** While it is, nobody else may write hours. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** The hour may lack something. */
  note(hourUs: number): void {
    if (this.#waiting.size < WAITING_MAX && !this.#waiting.has(hourUs)) {
      this.#waiting.set(hourUs, undefined);
    }
  }

  /** Writes what is lacking; stops where the lease is not held any more. One call at a time. */
  async correct(nowUs: number, isHeld: () => boolean): Promise<void> {
    const due = this.#due(nowUs);
    if (due.size === 0) return;
    this.#isBusy = true;
    for (const hourUs of due) this.#waiting.delete(hourUs);
    if (!(await this.#correct(due, isHeld))) for (const hourUs of due) this.note(hourUs);
    this.#isBusy = false;
  }

  #due(nowUs: number): Set<number> {
    const due: number[] = [];
    for (const [hourUs, beforeUs = nowUs] of this.#waiting) {
      const sinceUs = Math.min(beforeUs, nowUs);
      this.#waiting.set(hourUs, sinceUs);
      if (nowUs - sinceUs >= SETTLED_US) due.push(hourUs);
    }
    return new Set(due.sort((a, b) => a - b).slice(0, TOGETHER_MAX));
  }

  /** False where the storage did not answer or the lease has gone. */
  async #correct(hours: ReadonlySet<number>, isHeld: () => boolean): Promise<boolean> {
    const { log, ...logs } = this.#options;
    // Nothing is stored before its time, but for clocks that are apart; an import is stored later.
    const sinceUs = Math.max(0, Math.min(...hours) - DAY_US);
    const counted = new Map<string, LoadFact>();
    const written = new Map<string, LoadFact>();
    let nextSeq = 0;
    const take = (facts: Map<string, LoadFact>, page: readonly LoadFact[]): void => {
      for (const fact of page) if (hours.has(hourOf(fact))) facts.set(factKey(fact), fact);
    };
    // First the minutes: what is written meanwhile is then at most not missed.
    const minutesRead = await logs.minutes.readPages({ sinceUs }, (page) => take(counted, page));
    const hoursRead = await logs.hours.readPages({ sinceUs }, (page, seq) => {
      take(written, page);
      nextSeq = seq;
    });
    for (const read of [minutesRead, hoursRead]) {
      if (read.ok) continue;
      log.warn(read.error, "late load facts");
      return false;
    }
    // The place in the stream makes it a name of its own: with it, it has moved on.
    for (const fact of lacking(counted.values(), written.values(), `late-${nextSeq}`)) {
      if (!isHeld()) return false;
      const appended = await logs.hours.append(fact);
      if (appended.ok) continue;
      log.warn(appended.error, "late load facts");
      return false;
    }
    return true;
  }
}

const hourOf = ({ atUs }: LoadFact): number => Math.floor(atUs / HOUR_US) * HOUR_US;

/** What the minutes have and the hours have not. Of minutes that are over for good, nothing. */
function lacking(
  minutes: Iterable<LoadFact>,
  hours: Iterable<LoadFact>,
  source: string,
): LoadFact[] {
  const sums = (facts: Iterable<LoadFact>): LoadFact[] =>
    rollUp([...facts].map((fact) => ({ ...fact, source })));
  const there = new Map(sums(hours).map((fact) => [factKey(fact), fact]));
  return sums(minutes).flatMap((fact) => {
    const before = there.get(factKey(fact));
    if (before === undefined) return [fact];
    const rest = { ...fact };
    for (const name of LOAD_AMOUNTS) rest[name] = Math.max(0, fact[name] - before[name]);
    return LOAD_AMOUNTS.some((name) => rest[name] > 0) ? [rest] : [];
  });
}
