/**
 * Reads `timestamp,count` rows onto an even grid. The step is the commonest distance between rows;
 * rows that are off it by at most a tenth are moved to it, gaps of at most a day are filled by
 * season, longer ones stay missing; whatever else is uneven is refused.
 */

import { fail, ok, type Result } from "@millrace/std";
import { fillGap, findGaps } from "./gaps.ts";
import { DAY_US, HOUR_US } from "./series.ts";
import {
  AMOUNT_MAX,
  amountProblem,
  type LineProblem,
  parseAmount,
  problemAt,
  type Table,
} from "./table.ts";
import { formatTimestamp, parseTimestampUs } from "./timestamp.ts";
import type { Repair, Trace, TraceOptions } from "./trace.ts";

/** Four years of minutes. */
export const STEPS_MAX = 2_200_000;
const SNAP_SHARE = 0.1;
const FILLED_US_MAX = DAY_US;

interface Count {
  readonly line: number;
  readonly atUs: number;
  readonly count: number;
}

export function parseCounts(
  table: Table,
  countColumn: number,
  options: TraceOptions,
): Result<Trace, LineProblem> {
  const repairs: Repair[] = [];
  const counts = readCounts(table, countColumn, options, repairs);
  if (!counts.ok) return counts;
  const [first, second] = counts.value;
  if (first === undefined || second === undefined) {
    return fail(problemAt(first?.line ?? 1, "one row", "at least two, to tell the step"));
  }
  const stepUs = commonestStepUs(counts.value);
  if (stepUs > HOUR_US || HOUR_US % stepUs !== 0) {
    const rule = "one that divides an hour, at most an hour";
    return fail(problemAt(second.line, `a step of ${stepUs / 1_000_000} s`, rule));
  }
  const placed = place(counts.value, first.atUs, stepUs, repairs);
  if (!placed.ok) return placed;
  const { values, lines } = placed.value;
  repairGaps(values, lines, { startUs: first.atUs, stepUs }, repairs);
  const series = { startUs: first.atUs, stepUs, values };
  return ok({ kind: "counts", series, sums: {}, repairs: repairs.sort(byLine) });
}

const byLine = (a: Repair, b: Repair): number => a.line - b.line;

/** Rows in order, each time once. */
function readCounts(
  { rows }: Table,
  countColumn: number,
  { duplicates = "refuse" }: TraceOptions,
  repairs: Repair[],
): Result<Count[], LineProblem> {
  const counts: Count[] = [];
  for (const { line, cells } of rows) {
    const [time = ""] = cells;
    const amount = cells[countColumn] ?? "";
    const atUs = parseTimestampUs(time);
    if (atUs === undefined) {
      const forms = "ISO 8601 (no zone reads as UTC), or an epoch in s, ms, us or ns";
      return fail(problemAt(line, `timestamp ${JSON.stringify(time)} is no time`, forms));
    }
    const count = parseAmount(amount);
    if (count === undefined) {
      return fail(problemAt(line, amountProblem("count", amount), "a number of at least 0"));
    }
    const last = counts.at(-1);
    const isPart = duplicates === "sum" && last !== undefined && atUs === last.atUs;
    if (count + (isPart ? last.count : 0) > AMOUNT_MAX) {
      return fail(problemAt(line, `count ${amount} is too large`, `at most ${AMOUNT_MAX} a step`));
    }
    if (last !== undefined && atUs < last.atUs) {
      const before = `${formatTimestamp(atUs)} is before line ${last.line}`;
      return fail(problemAt(line, before, "rows in order of time; a clock may not jump back"));
    }
    if (last !== undefined && atUs === last.atUs) {
      if (isPart) {
        counts[counts.length - 1] = { ...last, count: last.count + count };
        repairs.push({ line, rule: "duplicate-summed", detail: `added to line ${last.line}` });
      } else if (count === last.count) {
        repairs.push({ line, rule: "duplicate-dropped", detail: `the same as line ${last.line}` });
      } else {
        const before = `${last.count} at line ${last.line}`;
        const twice = `${formatTimestamp(atUs)} twice: ${before}, now ${count}`;
        return fail(
          problemAt(line, twice, "one row per time, or duplicates declared to be summed"),
        );
      }
      continue;
    }
    counts.push({ line, atUs, count });
  }
  return ok(counts);
}

function commonestStepUs(counts: readonly Count[]): number {
  const seen = new Map<number, number>();
  let best = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let at = 1; at < counts.length; at++) {
    const step = (counts[at] as Count).atUs - (counts[at - 1] as Count).atUs;
    const times = (seen.get(step) ?? 0) + 1;
    seen.set(step, times);
    if (times > most || (times === most && step < best)) [most, best] = [times, step];
  }
  return best;
}

/** Puts every row into its step; the line of each step is kept for what is said of gaps. */
function place(
  counts: readonly Count[],
  startUs: number,
  stepUs: number,
  repairs: Repair[],
): Result<{ values: number[]; lines: number[] }, LineProblem> {
  const values: number[] = [];
  const lines: number[] = [];
  for (const { line, atUs, count } of counts) {
    const exact = (atUs - startUs) / stepUs;
    const step = Math.round(exact);
    const off = Math.abs(exact - step);
    if (off > SNAP_SHARE) {
      const away = `${formatTimestamp(atUs)} lies between the steps of ${stepUs / 1_000_000} s`;
      return fail(problemAt(line, away, "an even step, off by at most a tenth of it"));
    }
    if (off > 0) repairs.push({ line, rule: "snapped", detail: `${formatTimestamp(atUs)} moved` });
    if (step >= STEPS_MAX) {
      return fail(problemAt(line, "too long a span", `at most ${STEPS_MAX} steps`));
    }
    if (values[step] !== undefined && step < values.length) {
      return fail(problemAt(line, "a second row in one step", "one row per step"));
    }
    while (values.length < step) {
      values.push(Number.NaN);
      lines.push(line);
    }
    values.push(count);
    lines.push(line);
  }
  return ok({ values, lines });
}

/** Fills what is short enough from what the file says; fills never feed on fills. */
function repairGaps(
  values: number[],
  lines: readonly number[],
  { startUs, stepUs }: { readonly startUs: number; readonly stepUs: number },
  repairs: Repair[],
): void {
  const said = values.slice();
  for (const gap of findGaps(said)) {
    const steps = gap.to - gap.from;
    const line = lines[gap.from] as number;
    const where = `${steps} steps from ${formatTimestamp(startUs + gap.from * stepUs)}`;
    if (steps * stepUs > FILLED_US_MAX) {
      repairs.push({ line, rule: "gap-left", detail: `${where} stay missing` });
      continue;
    }
    fillGap(said, stepUs, gap).forEach((value, at) => {
      values[gap.from + at] = Math.round(value);
    });
    repairs.push({ line, rule: "gap-filled", detail: `${where} filled by season` });
  }
}
