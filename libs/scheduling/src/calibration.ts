/**
 * How much longer tickets took lately than was predicted when they were queued. What a prediction
 * cannot see, such as the turns that another scheduler takes at the same devices, is in what became
 * of those before: without it a load that keeps the queue as long as it may be has its tickets
 * dropped, or served late, at the end of their wait.
 */

import { Ring } from "@millrace/std";

/** The largest of so many batches counts. */
const BATCHES = 16;
/** A shorter wait says more of the moment than of the prediction. */
const PREDICTED_US_MIN = 50_000;
/** What was seen longer ago than this counts no more. */
const FRESH_US = 5_000_000;
const FACTOR_MAX = 2;

export class Calibration {
  #ratios = new Ring(BATCHES);
  #seenUs = -Infinity;

  /** What was predicted to take so long took so long, or at least so long where it was dropped. */
  observe(predictedUs: number, tookUs: number, nowUs: number): void {
    if (predictedUs < PREDICTED_US_MIN) return;
    if (nowUs - this.#seenUs > FRESH_US) this.#ratios = new Ring(BATCHES);
    this.#seenUs = nowUs;
    this.#ratios.push(tookUs / predictedUs);
  }

  /** Times longer than predicted: 1 to 2. */
  factor(nowUs: number): number {
    if (nowUs - this.#seenUs > FRESH_US) return 1;
    return Math.min(FACTOR_MAX, Math.max(1, this.#ratios.max));
  }
}
