/** A token bucket: refilled by time, by what is earned, and never above its capacity. */

const SECOND_US = 1_000_000;

export class Bucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #atUs: number;

  /** Starts full. */
  constructor(perSecond: number, capacity: number, nowUs: number) {
    this.#perSecond = perSecond;
    this.#capacity = capacity;
    this.#tokens = capacity;
    this.#atUs = nowUs;
  }

  /** Adds a share of a token. */
  earn(share: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + share);
  }

  /** False, and nothing taken, when there is less than one token. */
  take(nowUs: number): boolean {
    this.#refill(nowUs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Whole microseconds until `take` may succeed; 0 when it does now. */
  waitUs(nowUs: number): number {
    this.#refill(nowUs);
    if (this.#tokens >= 1) return 0;
    return Math.ceil(((1 - this.#tokens) / this.#perSecond) * SECOND_US);
  }

  #refill(nowUs: number): void {
    const earned = ((nowUs - this.#atUs) / SECOND_US) * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#atUs = nowUs;
  }
}
