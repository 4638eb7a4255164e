/** Adds up the time that the steps of a core take, which is what a scheduler costs. */

import type { Core } from "@millrace/runtime";

export class TimedCore<Event, Effect> implements Core<Event, Effect> {
  readonly #core: Core<Event, Effect>;
  readonly #nowUs: () => number;
  #stepsUs = 0;

  /** @param nowUs the clock of those who step it. */
  constructor(core: Core<Event, Effect>, nowUs: () => number) {
    this.#core = core;
    this.#nowUs = nowUs;
  }

  /** Over all steps, those for heartbeats too. */
  get stepsUs(): number {
    return this.#stepsUs;
  }

  get wakeAtUs(): number {
    return this.#core.wakeAtUs;
  }

  step(event: Event, nowUs: number): readonly Effect[] {
    const effects = this.#core.step(event, nowUs);
    this.#stepsUs += this.#nowUs() - nowUs;
    return effects;
  }
}
