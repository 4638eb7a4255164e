/**
 * The load that an accelerated day replays: three weeks of history and the day itself, from a trace
 * or made up. What is made up has a weekly and a daily season, noise, and a burst that no history
 * foretells.
 */

import { DAY_US, resample, type Series } from "@millrace/load-facts";
import { seededRandom } from "@millrace/std";

export interface Day {
  readonly history: Series;
  /** 24 hours; its first step begins where the history ends. */
  readonly day: Series;
  readonly source: string;
}

const STEP_US = 300_000_000;
const STEPS_A_DAY = DAY_US / STEP_US;
const HISTORY_DAYS = 21;
const SEED = 7;
/** Monday 2026-01-26T00:00:00Z: the day that is made up is a Monday, after three whole weeks. */
const MADE_UP_DAY_US = 1_769_385_600_000_000;
/** Requests of the busiest step that is made up, before the burst. */
const MADE_UP_PEAK = 1_000;
const BURST = { fromHour: 15.5, hours: 0.75, factor: 1.7 };

/** The last day of a trace, and what came before it. The trace has no gaps in its last day. */
export function dayOfTrace(trace: Series, source: string): Day | undefined {
  const series = trace.stepUs > STEP_US ? trace : resample(trace, STEP_US);
  const steps = Math.round(DAY_US / series.stepUs);
  if (series.values.length < 2 * steps) return undefined;
  const split = series.values.length - steps;
  const { startUs, stepUs, values } = series;
  return {
    history: { startUs, stepUs, values: values.slice(0, split) },
    day: { startUs: startUs + split * stepUs, stepUs, values: values.slice(split) },
    source,
  };
}

export function madeUpDay(): Day {
  const random = seededRandom(SEED);
  const count = (HISTORY_DAYS + 1) * STEPS_A_DAY;
  const startUs = MADE_UP_DAY_US - HISTORY_DAYS * DAY_US;
  const values = Array.from({ length: count }, (_, step) => {
    const hour = (step % STEPS_A_DAY) / 12;
    const weekday = Math.floor(step / STEPS_A_DAY) % 7;
    const last = step >= HISTORY_DAYS * STEPS_A_DAY;
    const bursting = last && hour >= BURST.fromHour && hour < BURST.fromHour + BURST.hours;
    const mean = MADE_UP_PEAK * shape(hour) * (weekday >= 5 ? 0.55 : 1);
    const noise = 1 + 0.12 * (random.next() + random.next() - 1);
    return Math.round(mean * noise * (bursting ? BURST.factor : 1));
  });
  const split = HISTORY_DAYS * STEPS_A_DAY;
  return {
    history: { startUs, stepUs: STEP_US, values: values.slice(0, split) },
    day: { startUs: MADE_UP_DAY_US, stepUs: STEP_US, values: values.slice(split) },
    source: `made up (seed ${SEED}): a working day with a burst at 15:30`,
  };
}

/** Quiet at four in the morning, a first peak at eleven, a higher one at eight in the evening. */
function shape(hour: number): number {
  const bump = (at: number, width: number): number => {
    const away = Math.min(Math.abs(hour - at), 24 - Math.abs(hour - at));
    return Math.exp(-((away / width) ** 2));
  };
  return 0.12 + 0.68 * bump(11, 3.5) + 0.88 * bump(20, 3);
}

/** Requests per second of the series' own clock at a time; 0 outside. */
export function rateAt(series: Series, atUs: number): number {
  const step = Math.floor((atUs - series.startUs) / series.stepUs);
  const count = series.values[step];
  return count === undefined || Number.isNaN(count) ? 0 : count / (series.stepUs / 1_000_000);
}
