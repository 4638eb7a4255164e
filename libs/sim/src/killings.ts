/**
 * How many workers an input may cost, where workers end by inputs alone: two, while others live
 * that did not have it and none of them ends at about the same time, by an input of its own. Else
 * nobody can tell the two apart, and one more is the price.
 */

import { INGRESS_DEFAULTS } from "@millrace/admission";

interface End {
  readonly worker: string;
  readonly atUs: number;
}

const { commonCauseUs, workersLostMax, verdictAfterUs } = INGRESS_DEFAULTS;
/** An ingress knows of an end this much later at most; and of a worker after its start. */
const SLACK_US = 50_000;
const KNOWN_US = 300_000;

export class Killings {
  readonly #workers: readonly string[];
  readonly #ends: End[] = [];
  readonly #kills = new Map<number, End[]>();

  constructor(workers: readonly string[]) {
    this.#workers = workers;
  }

  /** A worker's process ended, for whatever reason. */
  ended(worker: string, atUs: number): void {
    if (this.#workers.includes(worker)) this.#ends.push({ worker, atUs });
  }

  /** One is about to, by the request's input; how many that makes, and how many it may be. */
  killed(request: number, worker: string, atUs: number): { value: number; max: number } {
    const kills = this.#kills.get(request) ?? [];
    kills.push({ worker, atUs });
    this.#kills.set(request, kills);
    const max = workersLostMax + (this.#isExcused(kills) ? 1 : 0);
    return { value: kills.length, max };
  }

  #isExcused(kills: readonly End[]): boolean {
    const before = kills.slice(0, workersLostMax);
    const isOwn = ({ worker, atUs }: End): boolean =>
      before.some((kill) => kill.worker === worker && Math.abs(kill.atUs - atUs) < SLACK_US);
    const isNear = ({ atUs }: End): boolean =>
      before.some((kill) => Math.abs(kill.atUs - atUs) < commonCauseUs + SLACK_US);
    if (this.#ends.some((end) => isNear(end) && !isOwn(end))) return true;
    const last = before.at(-1)?.atUs ?? 0;
    const lived = this.#workers.some(
      (worker) =>
        !this.#ends.some((end) => end.worker === worker) &&
        !before.some((kill) => kill.worker === worker),
    );
    return !lived || last + verdictAfterUs < KNOWN_US;
  }
}
