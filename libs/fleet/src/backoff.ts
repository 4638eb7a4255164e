/** How long a supervisor waits before it starts a process again. */

export interface Backoff {
  /** The first restart comes this soon: a crash costs its users no more than this and a start. */
  readonly delayMsMin: number;
  /** Each failure in a row doubles the delay up to here, so that a broken child costs little. */
  readonly delayMsMax: number;
  /** A child that ran this long was healthy: the next failure is a first one again. */
  readonly healthyAfterMs: number;
}

export const DEFAULT_BACKOFF: Backoff = {
  delayMsMin: 50,
  delayMsMax: 5_000,
  healthyAfterMs: 10_000,
};

/** The delay before the restart that follows `failures` (at least 1) exits in a row. */
export function restartDelayMs(failures: number, backoff: Backoff): number {
  // 2 ** 30 ms is twelve days: the exponent is bounded so that the product stays a number.
  const doubled = backoff.delayMsMin * 2 ** Math.min(failures - 1, 30);
  return Math.min(doubled, backoff.delayMsMax);
}
