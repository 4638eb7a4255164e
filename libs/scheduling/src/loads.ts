/** Knows how long models take to load, from heartbeats, and which loads are under way. */

import type { Resident } from "@millrace/protocol";
import type { ModelState, Models } from "./models.ts";

export class Loads {
  readonly #models: Models;
  /** Since when devices are seen to load what they load, by device and version. */
  readonly #underWay = new Map<string, ReadonlyMap<string, number>>();

  constructor(models: Models) {
    this.#models = models;
  }

  /** What the device has now. The shortest load seen counts: it refuses nobody in vain. */
  heard(device: string, residents: Iterable<Resident>, nowUs: number): void {
    const before = this.#underWay.get(device);
    const underWay = new Map<string, number>();
    for (const { ref, state } of residents) {
      const sinceUs = before?.get(ref);
      if (state === "loading") underWay.set(ref, sinceUs ?? nowUs);
      if (state !== "ready" || sinceUs === undefined) continue;
      const model = this.#models.get(ref);
      if (model !== undefined) model.loadUs = Math.min(model.loadUs ?? Infinity, nowUs - sinceUs);
    }
    if (underWay.size === 0) this.#underWay.delete(device);
    else this.#underWay.set(device, underWay);
  }

  gone(device: string): void {
    this.#underWay.delete(device);
  }

  /** Until a first copy may be ready at the earliest; 0 where no load was seen yet. */
  leftUs({ loadUs, ref }: ModelState, nowUs: number): number {
    if (loadUs === undefined) return 0;
    let sinceUs = nowUs;
    for (const loads of this.#underWay.values())
      sinceUs = Math.min(sinceUs, loads.get(ref) ?? nowUs);
    return Math.max(0, sinceUs + loadUs - nowUs);
  }
}
