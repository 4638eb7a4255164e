/** Virtual time: what happens next, in whole microseconds. Ties go to what was put first. */

import { assert, Heap } from "@millrace/std";

interface Entry {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
}

/** More than this is a loop that does not let time pass. */
const SAME_TIME_MAX = 100_000;

export class Timeline {
  readonly #entries = new Heap<Entry>((a, b) =>
    a.atUs === b.atUs ? a.order < b.order : a.atUs < b.atUs,
  );
  #nowUs = 0;
  #order = 0;
  #sameTime = 0;

  get nowUs(): number {
    return this.#nowUs;
  }

  /** Things that have happened. */
  get happened(): number {
    return this.#order - this.#entries.size;
  }

  at(atUs: number, run: () => void): void {
    assert(Number.isSafeInteger(atUs), `${atUs} is no whole microsecond`);
    assert(atUs >= this.#nowUs, `${atUs} has passed at ${this.#nowUs}`);
    this.#entries.push({ atUs, order: this.#order++, run });
  }

  after(us: number, run: () => void): void {
    this.at(this.#nowUs + us, run);
  }

  /** Runs everything up to and at `untilUs`. */
  runUntil(untilUs: number): void {
    for (let next = this.#entries.peek(); next !== undefined; next = this.#entries.peek()) {
      if (next.atUs > untilUs) break;
      this.#entries.pop();
      this.#sameTime = next.atUs === this.#nowUs ? this.#sameTime + 1 : 0;
      assert(this.#sameTime < SAME_TIME_MAX, `time stands still at ${this.#nowUs}`);
      this.#nowUs = next.atUs;
      next.run();
    }
    this.#nowUs = untilUs;
  }
}
