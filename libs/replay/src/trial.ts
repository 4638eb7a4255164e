/** A run's worst stretch through the fluid queue and through the real scheduler, side by side. */

import { FILL_SHARE } from "@millrace/planning";
import { seededRandom } from "@millrace/std";
import { FluidQueue } from "./fluid-queue.ts";
import { TICK_SECONDS } from "./load.ts";
import { type Outcome, scheduleStretch } from "./schedule-stretch.ts";
import type { Stretch } from "./stretch.ts";

export interface Trial {
  /** Seconds after the start of the window. */
  readonly fromSeconds: number;
  readonly seconds: number;
  readonly fluid: Outcome;
  readonly scheduler: Outcome;
}

export const tryStretch = (stretch: Stretch, perSecond: number, seed: number): Trial => ({
  fromSeconds: stretch.firstTick * TICK_SECONDS,
  seconds: stretch.ticks.length * TICK_SECONDS,
  fluid: flowStretch(stretch, perSecond),
  scheduler: scheduleStretch(stretch, perSecond, seededRandom(seed)),
});

/** The same ticks as a fluid, and then, with the last tick's workers, until nothing waits. */
function flowStretch({ ticks }: Stretch, perSecond: number): Outcome {
  const queue = new FluidQueue(FILL_SHARE);
  const capacityOf = (ready: number): number => ready * perSecond * TICK_SECONDS;
  for (const { urgent, ready } of ticks) queue.step(urgent, 0, capacityOf(ready), TICK_SECONDS);
  const left = capacityOf(ticks.at(-1)?.ready ?? 0);
  while (queue.queued > 0) queue.step(0, 0, left, TICK_SECONDS);
  const { urgent, slow, failed } = queue.total;
  return { requests: urgent, slow, failed };
}
