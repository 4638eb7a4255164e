/**
 * Measures how long a model took to its first answer that no worker held when it was asked for: the
 * way of a parked model back to a device, or of a whole fleet from nothing.
 */

import type { IngressEffect } from "./events.ts";
import type { Open } from "./table.ts";

export class FromZero {
  /** By model version, the open request that came first; no more than requests are open (I6). */
  readonly #callers = new Map<string, Open>();

  /** No worker holds the model of this request. */
  called(open: Open): void {
    if (!this.#callers.has(open.model.ref)) this.#callers.set(open.model.ref, open);
  }

  /** A request of the model is about to be answered: its own first one, or one that passed it. */
  answered({ model }: Open, nowUs: number, effects: IngressEffect[]): void {
    const caller = this.#callers.get(model.ref);
    if (caller === undefined) return;
    this.#callers.delete(model.ref);
    effects.push({ type: "cameFromZero", model: model.ref, us: nowUs - caller.arrivedUs });
  }

  /** It is over; where it had no answer, the next request to find nobody is the first. */
  closed(open: Open): void {
    if (this.#callers.get(open.model.ref) === open) this.#callers.delete(open.model.ref);
  }
}
