/** Remembers which worker processes ended lately, and when that became known here. */

interface Ending {
  readonly process: string;
  readonly atUs: number;
}

/** Far more than end within the second that is asked for, unless nearly all do. */
const ENDINGS_MAX = 256;

export class Endings {
  readonly #endings: Ending[] = [];

  /** Several may say so: the first word counts. */
  note(process: string, nowUs: number): void {
    if (this.#endings.some((known) => known.process === process)) return;
    this.#endings.push({ process, atUs: nowUs });
    if (this.#endings.length > ENDINGS_MAX) this.#endings.shift(); // I6
  }

  /** True where a process ended less than `withinUs` from then that is none of these. */
  isAnyAbout(atUs: number, withinUs: number, except: readonly string[]): boolean {
    return this.#endings.some(
      (known) => Math.abs(known.atUs - atUs) < withinUs && !except.includes(known.process),
    );
  }
}
