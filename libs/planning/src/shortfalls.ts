/** Gathers what a plan cannot serve: of every limit that binds, the step in which it binds most. */

import { MICROS } from "@millrace/costing";
import type { Shortfall } from "./plan.ts";

interface Undone {
  readonly of: string;
  readonly limit: "budget" | "workersMax";
  readonly hours: number;
  readonly undoneHours: number;
  /** Whose limit it is, in words. */
  readonly by: string;
}

export class Shortfalls {
  readonly #worst = new Map<string, Shortfall>();

  add(shortfall: Shortfall): void {
    const key = `${shortfall.limit} ${shortfall.of}`;
    const before = this.#worst.get(key);
    if (before === undefined || shortfall.needed > before.needed) this.#worst.set(key, shortfall);
  }

  /**
   * A limit on workers or on money, with what it would take.
   *
   * @param servedShare of what is wanted, under the limit.
   */
  addLimit(limit: Omit<Shortfall, "message">, servedShare: number): void {
    const { allowed, needed, of } = limit;
    const message =
      limit.limit === "budget"
        ? `${of} needs ${dollars(needed)}, the budget is ${dollars(allowed)}: raise it to that, ` +
          `or serve ${(100 * servedShare).toFixed(0)} % of the peak`
        : `${of} needs ${needed.toFixed(1)} workers, ${allowed.toFixed(1)} are allowed: raise the limit, ` +
          "or let what is beyond it be refused";
    this.add({ ...limit, message });
  }

  /** Work that may wait, and of which not all is done by when it is due, in worker-hours. */
  addUndone({ of, limit, hours, undoneHours, by }: Undone): void {
    const remedy = limit === "budget" ? "raise it" : "raise the limit";
    const message =
      `${undoneHours.toFixed(1)} of ${hours.toFixed(1)} worker-hours that may wait ` +
      `are not done in time ${by}: ${remedy}, or let them wait longer`;
    this.add({ atUs: 0, of, limit, needed: hours, allowed: hours - undoneHours, message });
  }

  all(): Shortfall[] {
    return [...this.#worst.values()];
  }
}

export const dollars = (micros: number): string => `${(micros / MICROS).toFixed(2)} an hour`;
