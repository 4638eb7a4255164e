/**
 * The load of a replay: a trace scaled so that its P99.9 minute is what the static peak fleet is
 * sized for, as requests in even ticks, with the chance of single arrivals drawn around the trace.
 */

import { endUs, type Series } from "@millrace/load-facts";
import { assert, type Random } from "@millrace/std";

export const TICK_US = 5_000_000;
export const TICK_SECONDS = TICK_US / 1_000_000;
const DAY_US = 86_400_000_000;

/** The history that is not replayed, so that forecasts have something to go on. */
const HISTORY_US_MIN = 8 * DAY_US;
const HISTORY_US_MAX = 14 * DAY_US;
/** A trace shorter than this has no day to learn from: all of it is replayed. */
const SHORT_US = 2 * DAY_US;

export interface ReplayWindow {
  readonly fromUs: number;
  readonly toUs: number;
  /** Time that would have been replayed, but for steps in it that nobody counted. */
  readonly leftOutUs: number;
}

/**
 * Half the trace is history, within 8 to 14 days where it has them; the rest, at most `daysMax`
 * from its end, is replayed. Where steps of that are missing it is the longest stretch without
 * one: taken for idle hours, they would make every policy that follows the load look good.
 */
export function windowOf(trace: Series, daysMax: number): ReplayWindow {
  const toUs = endUs(trace);
  const spanUs = toUs - trace.startUs;
  const halfUs = Math.floor(spanUs / 2);
  let historyUs = Math.min(HISTORY_US_MAX, halfUs);
  if (spanUs > HISTORY_US_MIN * 1.25) historyUs = Math.max(HISTORY_US_MIN, historyUs);
  if (spanUs < SHORT_US) historyUs = 0;
  const steps = Math.ceil(historyUs / trace.stepUs);
  const fromUs = trace.startUs + steps * trace.stepUs;
  return longestCounted(trace, Math.max(fromUs, toUs - daysMax * DAY_US), toUs);
}

function longestCounted(trace: Series, fromUs: number, toUs: number): ReplayWindow {
  const values = valuesIn(trace, { fromUs, toUs });
  const bounds = [-1, ...missingIn(values), values.length];
  let [first, last] = [0, 0];
  for (let at = 1; at < bounds.length; at++) {
    const [after, before] = [(bounds[at - 1] ?? 0) + 1, bounds[at] ?? 0];
    if (before - after > last - first) [first, last] = [after, before];
  }
  if (last - first === values.length) return { fromUs, toUs, leftOutUs: 0 };
  const leftOutUs = (values.length - (last - first)) * trace.stepUs;
  const firstStep = Math.round((fromUs - trace.startUs) / trace.stepUs);
  const at = (step: number): number => trace.startUs + (firstStep + step) * trace.stepUs;
  return { fromUs: at(first), toUs: at(last), leftOutUs };
}

const missingIn = (values: readonly number[]): number[] =>
  values.flatMap((value, at) => (Number.isNaN(value) ? [at] : []));

/** Of the steps that begin in the window. */
export function valuesIn(
  { startUs, stepUs, values }: Series,
  window: Omit<ReplayWindow, "leftOutUs">,
): number[] {
  const first = Math.round((window.fromUs - startUs) / stepUs);
  const last = Math.round((window.toUs - startUs) / stepUs);
  return values.slice(first, last);
}

export function quantileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** Requests of each tick of the window, drawn as Poisson around the trace's own steps. */
export function drawArrivals(
  trace: Series,
  window: ReplayWindow,
  scale: number,
  random: Random,
): Float64Array {
  const values = valuesIn(trace, window);
  assert(missingIn(values).length === 0, "a window without missing steps");
  const ticks = Math.floor((values.length * trace.stepUs) / TICK_US);
  const arrivals = new Float64Array(ticks);
  for (let tick = 0; tick < ticks; tick++) {
    // Of the steps in the tick, or the one that it is in.
    const first = Math.floor((tick * TICK_US) / trace.stepUs);
    const count = Math.max(1, Math.floor(((tick + 1) * TICK_US) / trace.stepUs) - first);
    const value = values.slice(first, first + count).reduce((sum, each) => sum + each, 0);
    arrivals[tick] = drawPoisson((value * scale * TICK_US) / (count * trace.stepUs), random);
  }
  return arrivals;
}

/** Exact for small means (Knuth); above 30 the normal approximation is within a per cent. */
function drawPoisson(mean: number, random: Random): number {
  if (mean <= 0) return 0;
  if (mean < 30) {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = random.next(); product > limit; product *= random.next()) count++;
    return count;
  }
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  const normal = radius * Math.cos(2 * Math.PI * random.next());
  return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
}
