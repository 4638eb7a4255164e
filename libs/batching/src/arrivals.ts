/**
 * How the requests of one model arrive, smoothed: rows a second, and what the next frame may bring.
 */

/** Weight of the newest frame; about the last twenty count. */
const WEIGHT = 0.1;
const RATE_WINDOW_US = 1_000_000;

export class Arrivals {
  #lastUs = -Infinity;
  #gapUs = Infinity;
  #rows = 0;
  #windowStartUs = 0;
  #windowRows = 0;
  #windowBatchRows = 0;
  #rate = 0;
  #batchRate = 0;

  /** A frame of `rows` rows arrived, of which so many were sent as batch. */
  observe(rows: number, nowUs: number, batchRows = 0): void {
    const gap = nowUs - this.#lastUs;
    this.#gapUs = Number.isFinite(this.#gapUs) ? mix(this.#gapUs, gap) : gap;
    this.#rows = this.#rows === 0 ? rows : mix(this.#rows, rows);
    this.#lastUs = nowUs;
    this.#roll(nowUs);
    this.#windowRows += rows;
    this.#windowBatchRows += batchRows;
  }

  /** Microseconds to the next frame and its rows, as of the last ones. */
  get expected(): { readonly rows: number; readonly gapUs: number } {
    return { rows: this.#rows, gapUs: this.#gapUs };
  }

  rowsPerSecond(nowUs: number): number {
    this.#roll(nowUs);
    return this.#rate;
  }

  /** Of them, those sent as batch. */
  batchRowsPerSecond(nowUs: number): number {
    this.#roll(nowUs);
    return this.#batchRate;
  }

  get lastUs(): number {
    return this.#lastUs;
  }

  #roll(nowUs: number): void {
    const passed = nowUs - this.#windowStartUs;
    if (passed < RATE_WINDOW_US) return;
    const perRow = passed > 10 * RATE_WINDOW_US ? 0 : 1_000_000 / passed;
    this.#rate = this.#windowRows * perRow;
    this.#batchRate = this.#windowBatchRows * perRow;
    this.#windowStartUs = nowUs;
    this.#windowRows = 0;
    this.#windowBatchRows = 0;
  }
}

const mix = (before: number, now: number): number => before + WEIGHT * (now - before);
