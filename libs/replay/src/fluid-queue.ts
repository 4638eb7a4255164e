/**
 * One model's queue as a fluid, a step at a time, exact within the step: load and capacity are
 * constant there, so the backlog moves along a line and the share of requests that wait too long is
 * the share of that line above a bound. Urgent work goes first; work that may wait takes what is
 * left. A request that would wait longer than the bound is refused, as admission does.
 */

/** Waiting more than this is slow. */
export const SLOW_WAIT_SECONDS = 1;
/** Waiting more than this is a failure. */
export const FAILED_WAIT_SECONDS = 30;

export interface Served {
  /** Requests, over all steps. */
  urgent: number;
  slow: number;
  failed: number;
  deferred: number;
  /** Done, of both. */
  done: number;
}

export class FluidQueue {
  readonly total: Served = { urgent: 0, slow: 0, failed: 0, deferred: 0, done: 0 };
  readonly #fillShare: number;
  #queued = 0;
  #waiting = 0;
  /** How long nothing has been ready. */
  #stalledSeconds = 0;

  /** @param fillShare of the capacity left over that deferred work can use. */
  constructor(fillShare: number) {
    this.#fillShare = fillShare;
  }

  get queued(): number {
    return this.#queued;
  }

  /** Deferred requests that are not done. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param arrivals urgent requests of the step, evenly over it.
   * @param capacity requests that the ready workers can serve in it.
   * @returns requests done.
   */
  step(arrivals: number, deferred: number, capacity: number, seconds: number): number {
    const { total } = this;
    const before = this.#queued;
    const perSecond = capacity / seconds;
    const after = Math.max(0, before + arrivals - capacity);
    const queued = Math.min(after, this.#queueMax(perSecond, arrivals, after, seconds));
    const failed = after - queued;
    const slowAbove = SLOW_WAIT_SECONDS * perSecond;
    if (arrivals > 0 && (before > slowAbove || after > slowAbove)) {
      const slow = arrivals * shareAbove(slowAbove, before, before + arrivals - capacity);
      total.slow += Math.max(0, slow - Math.min(arrivals, failed));
    }
    const urgentDone = before + arrivals - after;
    this.#waiting += deferred;
    const deferredDone = Math.min(this.#waiting, (capacity - urgentDone) * this.#fillShare);
    this.#waiting -= deferredDone;
    this.#queued = queued;
    total.urgent += arrivals;
    total.deferred += deferred;
    total.failed += failed;
    total.done += urgentDone + deferredDone;
    return urgentDone + deferredDone;
  }

  /** With nothing ready a request waits for the first worker as long as it would for a queue. */
  #queueMax(perSecond: number, arrivals: number, after: number, seconds: number): number {
    this.#stalledSeconds = perSecond > 0 ? 0 : this.#stalledSeconds + seconds;
    if (perSecond > 0) return FAILED_WAIT_SECONDS * perSecond;
    if (this.#stalledSeconds <= FAILED_WAIT_SECONDS) return after;
    return (FAILED_WAIT_SECONDS * arrivals) / seconds;
  }

  /** Deferred requests that were not done in time fail. */
  expire(requests: number): void {
    const expired = Math.min(requests, this.#waiting);
    this.#waiting -= expired;
    this.total.failed += expired;
  }
}

/** The share of a line from `from` to `to` that lies above `bound`. */
function shareAbove(bound: number, from: number, to: number): number {
  if (from > bound && to > bound) return 1;
  if (from <= bound && to <= bound) return 0;
  const above = Math.max(from, to) - bound;
  return above / Math.abs(to - from);
}
