/** The fleet's plan as the forecaster keeps it for others to read, its reasons in words. */

import * as v from "valibot";
import { LIFECYCLES } from "./heartbeat.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

export const planSchema = v.object({
  /** Start of the first step, Unix time. */
  startUs: whole,
  stepUs: v.pipe(whole, v.minValue(1)),
  /** What the whole horizon costs, in millionths of the price book's currency. */
  micros: amount,
  /** The limits that bind, and what it would take. */
  infeasible: v.array(v.object({ message: v.string() })),
  steps: v.array(
    v.object({
      atUs: whole,
      workers: v.array(
        v.object({
          kind: v.string(),
          zone: v.string(),
          lifecycle: v.picklist(LIFECYCLES),
          count: whole,
        }),
      ),
      microsPerHour: amount,
      reasons: v.array(v.string()),
    }),
  ),
});
export type WrittenPlan = v.InferOutput<typeof planSchema>;
