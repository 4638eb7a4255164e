/**
 * The time of day that load and cost are booked under. It is the machine's, unless a demonstration
 * runs a day in minutes: then it began at a stated moment and runs a stated number of times as
 * fast.
 */

import { fail, ok } from "@millrace/std";
import type { Field } from "./fields.ts";

export interface WallClock {
  /** Virtual microseconds that pass in a real one; 1 but for demonstrations. */
  readonly scale: number;
  /** Unix microseconds, whole. */
  readonly nowUs: () => number;
}

const realUs = (): number => Date.now() * 1000;
export const REAL_CLOCK: WallClock = { scale: 1, nowUs: realUs };

/** `realMs,virtualMs,scale`: at the first, in Unix milliseconds, it was the second. */
export const clockField = (): Field<WallClock> => ({
  variable: "MILLRACE_CLOCK",
  help: "an accelerated clock for demonstrations; the machine's unless given",
  expects: "REAL_MS,VIRTUAL_MS,SCALE: Unix milliseconds and a factor from 1 to 100000",
  fallback: { value: REAL_CLOCK, text: "" },
  parse: (text) => {
    const [, real = "", virtual = "", factor = ""] = /^(\d+),(\d+),(\d{1,6})$/.exec(text) ?? [];
    const scale = Number(factor);
    if (real === "" || scale < 1 || scale > 100_000) return fail("");
    const realAtUs = Number(real) * 1000;
    const virtualAtUs = Number(virtual) * 1000;
    return ok({ scale, nowUs: () => virtualAtUs + (realUs() - realAtUs) * scale });
  },
});
