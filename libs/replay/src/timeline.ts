/** What a run looked like over time, in even slices, for plots. */

import { TICK_SECONDS } from "./load.ts";

export interface Slice {
  /** Requests per second, urgent and deferred. */
  load: number;
  /** Requests per second that the forecast's floor is for. */
  floorWorkers: number;
  onDemand: number;
  spot: number;
  /** Of paid capacity. */
  utilisation: number;
  /** Micro-dollars since the start. */
  micros: number;
}

export class Timeline {
  readonly slices: Slice[] = [];
  readonly #ticks: number;
  #in = 0;
  #load = 0;
  #done = 0;
  #paid = 0;
  #spot = 0;
  #floor = 0;
  #capacity = 0;

  /** @param ticks of a slice. */
  constructor(ticks: number) {
    this.#ticks = ticks;
  }

  add(
    tick: {
      readonly arrivals: number;
      readonly done: number;
      readonly paid: number;
      readonly spot: number;
      readonly floor: number;
      readonly perWorker: number;
    },
    micros: () => number,
  ): void {
    this.#in++;
    this.#load += tick.arrivals;
    this.#done += tick.done;
    this.#paid += tick.paid;
    this.#spot += tick.spot;
    this.#floor += tick.floor;
    this.#capacity += tick.paid * tick.perWorker;
    if (this.#in < this.#ticks) return;
    const count = this.#in;
    this.slices.push({
      load: this.#load / (count * TICK_SECONDS),
      floorWorkers: this.#floor / count,
      onDemand: (this.#paid - this.#spot) / count,
      spot: this.#spot / count,
      utilisation: this.#capacity === 0 ? 0 : this.#done / this.#capacity,
      micros: micros(),
    });
    this.#in = 0;
    [this.#load, this.#done, this.#paid, this.#spot] = [0, 0, 0, 0];
    [this.#floor, this.#capacity] = [0, 0];
  }
}
