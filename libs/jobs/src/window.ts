/**
 * How many items of jobs are out at a time. A scheduler moves what waits two seconds up a tier, so
 * jobs must not fill its queues: the window follows the time that items wait (as TCP Vegas does;
 * Brakmo and Peterson, 1995), grows while they come back soon, shrinks when they queue or when the
 * cluster refuses them (AIMD; Chiu and Jain, 1989).
 */

export interface WindowOptions {
  readonly least: number;
  readonly most: number;
  /** Items that wait less than this leave room for more. */
  readonly soonUs: number;
  /** Items that wait longer than this have queued: well below the two seconds. */
  readonly lateUs: number;
  /** One decrease answers all the bad news of so long. */
  readonly holdUs: number;
}

export const WINDOW_DEFAULTS: WindowOptions = {
  least: 4,
  most: 256,
  // Measured on two cores: 512 items out were not done sooner than 64, and realtime took twice as
  // long beside them.
  soonUs: 100_000,
  lateUs: 400_000,
  holdUs: 250_000,
};

const BEGIN = 32;
const SHRINK = 0.7;

export class ItemWindow {
  readonly #options: WindowOptions;
  #size: number;
  #out = 0;
  #heldUntilUs = 0;

  constructor(options: WindowOptions = WINDOW_DEFAULTS) {
    this.#options = options;
    this.#size = Math.max(options.least, Math.min(BEGIN, options.most));
  }

  /** Items that may be out. */
  get size(): number {
    return Math.floor(this.#size);
  }

  get out(): number {
    return this.#out;
  }

  get hasRoom(): boolean {
    return this.#out < this.size;
  }

  sent(): void {
    this.#out++;
  }

  /** @param waitedUs until its result came, less what its run took. */
  served(waitedUs: number, nowUs: number): void {
    const { most, soonUs, lateUs } = this.#options;
    const wasFull = !this.hasRoom;
    this.#out--;
    if (waitedUs > lateUs) this.#shrink(nowUs);
    // What was not used says nothing of what there would be room for.
    else if (waitedUs < soonUs && wasFull) this.#size = Math.min(most, this.#size + 8 / this.#size);
  }

  /** The cluster could not serve it. */
  refused(nowUs: number): void {
    this.#out--;
    this.#shrink(nowUs);
  }

  /** It failed for a reason of its own. */
  failed(): void {
    this.#out--;
  }

  #shrink(nowUs: number): void {
    if (nowUs < this.#heldUntilUs) return;
    this.#heldUntilUs = nowUs + this.#options.holdUs;
    this.#size = Math.max(this.#options.least, this.#size * SHRINK);
  }
}
