/**
 * Holidays and known events: their file, and what they do to a forecast. A factor that the file
 * gives is taken as it is; one that it leaves open is learned from earlier events of the same name.
 */

import { fail, ok, type Result } from "@millrace/std";
import {
  amountProblem,
  formatTimestamp,
  HOUR_US,
  type LineProblem,
  parseAmount,
  parseTable,
  parseTimestampUs,
  problemAt,
} from "@millrace/load-facts";
import type { Hours } from "./hours.ts";

export interface KnownEvent {
  readonly name: string;
  readonly startUs: number;
  readonly endUs: number;
  /** Load during the event as a multiple of what the season says; learned where undefined. */
  readonly factor: number | undefined;
}

const COLUMNS = ["start", "end", "name", "factor"];
const FACTOR_MAX = 100;
const EVENTS_MAX = 10_000;
/** Hours of earlier events of a name below which its factor is not believed. */
const LEARNED_HOURS_MIN = 3;

/**
 * Reads `start,end,name,factor`, in order of start; `factor` may be empty. Events of different
 * names may overlap, and their factors are then multiplied; those of one name may not, as a line
 * given twice would count twice. Fails with the first line that is wrong.
 */
export function parseEvents(text: string): Result<KnownEvent[], LineProblem> {
  const table = parseTable(text);
  if (!table.ok) return table;
  const { columns, rows } = table.value;
  if (columns.join() !== COLUMNS.join()) {
    return fail(problemAt(1, `columns ${columns.join(",")}`, COLUMNS.join(",")));
  }
  const events: KnownEvent[] = [];
  const ends = new Map<string, { readonly line: number; readonly endUs: number }>();
  for (const { line, cells } of rows) {
    const [start = "", end = "", name = "", factor = ""] = cells;
    const startUs = parseTimestampUs(start);
    const endUs = parseTimestampUs(end);
    if (startUs === undefined || endUs === undefined) {
      const wrong = JSON.stringify(startUs === undefined ? start : end);
      return fail(problemAt(line, `${wrong} is no time`, "ISO 8601 or epoch"));
    }
    if (endUs <= startUs) {
      return fail(problemAt(line, `it ends at ${end}`, `an end after its start, ${start}`));
    }
    if (startUs < (events.at(-1)?.startUs ?? 0)) {
      const before = `${formatTimestamp(startUs)} is before the line above`;
      return fail(problemAt(line, before, "events in order of their start"));
    }
    if (name === "") return fail(problemAt(line, "no name", "a name, for what is learned of it"));
    const given = factor === "" ? undefined : parseAmount(factor);
    if (factor !== "" && (given === undefined || given > FACTOR_MAX)) {
      const problem =
        given === undefined ? amountProblem("factor", factor) : `factor ${factor} is too large`;
      return fail(problemAt(line, problem, `a number from 0 to ${FACTOR_MAX}, or nothing`));
    }
    if (events.length === EVENTS_MAX) {
      return fail(problemAt(line, "too many events", `at most ${EVENTS_MAX}`));
    }
    const before = ends.get(name);
    if (before !== undefined && startUs < before.endUs) {
      const problem = `${JSON.stringify(name)} overlaps itself at line ${before.line}`;
      return fail(problemAt(line, problem, "events of one name one after the other"));
    }
    ends.set(name, { line, endUs });
    events.push({ name, startUs, endUs, factor: given });
  }
  return ok(events);
}

/** Hours [from, to) of the grid that an event touches by at least half. */
function span(event: KnownEvent, startUs: number): { readonly from: number; readonly to: number } {
  return {
    from: Math.round((event.startUs - startUs) / HOUR_US),
    to: Math.round((event.endUs - startUs) / HOUR_US),
  };
}

/**
 * The history as if the events had not been: hours of a known factor are divided by it, hours of an
 * unknown one are not believed, so that their season's filling stands in.
 */
export function withoutEvents(raw: Float64Array, startUs: number, events: readonly KnownEvent[]) {
  const plain = raw.slice();
  for (const event of events) {
    const { from, to } = span(event, startUs);
    for (let at = Math.max(0, from); at < Math.min(to, raw.length); at++) {
      const { factor = 0 } = event;
      plain[at] = factor > 0 ? (plain[at] as number) / factor : Number.NaN;
    }
  }
  return plain;
}

/** The factor of each of the `horizon` hours from `origin` on, by what was known then. */
export function eventFactors(
  hours: Hours,
  origin: number,
  horizon: number,
  events: readonly KnownEvent[],
): Float64Array {
  const factors = new Float64Array(horizon).fill(1);
  for (const event of events) {
    const { from, to } = span(event, hours.startUs);
    if (to <= origin || from >= origin + horizon) continue;
    const factor = event.factor ?? learnedFactor(hours, origin, event.name, events);
    for (let at = Math.max(from, origin); at < Math.min(to, origin + horizon); at++) {
      factors[at - origin] = (factors[at - origin] as number) * factor;
    }
  }
  return factors;
}

/** Median ratio of what was counted in earlier hours of this name to what their season said. */
function learnedFactor(
  hours: Hours,
  origin: number,
  name: string,
  events: readonly KnownEvent[],
): number {
  const ratios: number[] = [];
  for (const event of events) {
    if (event.name !== name) continue;
    const { from, to } = span(event, hours.startUs);
    for (let at = Math.max(0, from); at < Math.min(to, origin); at++) {
      if (hours.counted[at] !== 1) continue;
      ratios.push(((hours.raw[at] as number) + 1) / ((hours.count[at] as number) + 1));
    }
  }
  if (ratios.length < LEARNED_HOURS_MIN) return 1;
  ratios.sort((a, b) => a - b);
  return Math.min(FACTOR_MAX, ratios[Math.floor(ratios.length / 2)] as number);
}
