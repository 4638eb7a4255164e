/**
 * Reads recorded spot markets: either `t_seconds,event,node,alive_after` rows (nodes added and
 * removed), or `timestamp,instances` rows (how many are alive). A recorder that looked twice in one
 * minute gives two counts: the lower one holds. Rows at most five minutes out of order are sorted;
 * more than that is a clock that jumped, and refused.
 */

import { fail, ok, type Result } from "@millrace/std";
import {
  formatTimestamp,
  type LineProblem,
  parseAmount,
  parseTable,
  parseTimestampUs,
  problemAt,
} from "@millrace/load-facts";
import type { SpotEvent, SpotTrace } from "./spot-market.ts";

const DISORDER_US_MAX = 300_000_000;
const SECOND_US = 1_000_000;

interface Alive {
  readonly atUs: number;
  readonly alive: number;
  /** Taken back since the last row, where the trace says so. */
  readonly removed: number;
}

export interface ReadSpotTrace {
  readonly trace: SpotTrace;
  /** What was changed while reading, in words; empty for a clean file. */
  readonly repairs: readonly string[];
}

export function parseSpotTrace(name: string, text: string): Result<ReadSpotTrace, LineProblem> {
  const table = parseTable(text);
  if (!table.ok) return table;
  const { columns: names, rows } = table.value;
  const columns = names.join(",");
  const repairs: string[] = [];
  let read: Result<Alive[], LineProblem>;
  if (columns === "t_seconds,event,node,alive_after") read = readEvents(rows);
  else if (columns === "timestamp,instances") read = readCounts(rows, repairs);
  else {
    const forms = "t_seconds,event,node,alive_after or timestamp,instances";
    return fail(problemAt(1, `columns ${columns}`, forms));
  }
  if (!read.ok) return read;
  return traceOf(name, read.value, repairs);
}

type Rows = readonly { readonly line: number; readonly cells: readonly string[] }[];

function readEvents(rows: Rows): Result<Alive[], LineProblem> {
  const alive: Alive[] = [];
  let before = 0;
  for (const { line, cells } of rows) {
    const [time = "", event = "", , count = ""] = cells;
    const seconds = parseAmount(time);
    if (seconds === undefined) return fail(problemAt(line, `t_seconds ${time}`, "seconds from 0"));
    const after = parseAmount(count);
    if (after === undefined) return fail(problemAt(line, `alive_after ${count}`, "a count"));
    if (event !== "add" && event !== "remove") {
      return fail(problemAt(line, `event ${JSON.stringify(event)}`, "add or remove"));
    }
    const expected = before + (event === "add" ? 1 : -1);
    if (after !== expected) {
      const found = `${after} alive after one ${event} from ${before}`;
      return fail(problemAt(line, found, `${expected}`));
    }
    const atUs = Math.round(seconds * SECOND_US);
    const last = alive.at(-1);
    if (last !== undefined && atUs < last.atUs) {
      return fail(problemAt(line, `${time} s after ${last.atUs / SECOND_US} s`, "rows by time"));
    }
    const removed = event === "remove" ? 1 : 0;
    if (last?.atUs === atUs) {
      alive[alive.length - 1] = { atUs, alive: after, removed: last.removed + removed };
    } else alive.push({ atUs, alive: after, removed });
    before = after;
  }
  return ok(alive);
}

function readCounts(rows: Rows, repairs: string[]): Result<Alive[], LineProblem> {
  const counts = new Map<number, number>();
  let latestUs = Number.NEGATIVE_INFINITY;
  let disordered = 0;
  let doubled = 0;
  for (const { line, cells } of rows) {
    const [time = "", count = ""] = cells;
    const atUs = parseTimestampUs(time);
    const instances = parseAmount(count);
    if (atUs === undefined) return fail(problemAt(line, `timestamp ${time}`, "ISO 8601"));
    if (instances === undefined) return fail(problemAt(line, `instances ${count}`, "a count"));
    if (atUs < latestUs - DISORDER_US_MAX) {
      const found = `${formatTimestamp(atUs)} after ${formatTimestamp(latestUs)}`;
      return fail(problemAt(line, found, "rows by time, at most five minutes out of order"));
    }
    if (atUs < latestUs) disordered++;
    latestUs = Math.max(latestUs, atUs);
    const other = counts.get(atUs);
    if (other !== undefined && other !== instances) doubled++;
    counts.set(atUs, Math.min(instances, other ?? instances));
  }
  if (disordered > 0) repairs.push(`${disordered} rows sorted into their place`);
  if (doubled > 0) repairs.push(`${doubled} times with two counts: the lower one`);
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const startUs = sorted[0]?.[0] ?? 0;
  return ok(
    sorted.map(([atUs, alive], at) => {
      const before = sorted[at - 1]?.[1] ?? alive;
      return { atUs: atUs - startUs, alive, removed: Math.max(0, before - alive) };
    }),
  );
}

function traceOf(
  name: string,
  rows: readonly Alive[],
  repairs: readonly string[],
): Result<ReadSpotTrace, LineProblem> {
  const most = rows.reduce((max, { alive }) => Math.max(max, alive), 0);
  const lengthUs = rows.at(-1)?.atUs ?? 0;
  if (most === 0 || lengthUs === 0) {
    return fail(problemAt(2, "no instance alive, or no time that passes", "a trace of a market"));
  }
  const events: SpotEvent[] = rows.map(({ atUs, alive, removed }) => ({
    atUs,
    available: alive / most,
    reclaimed: removed === 0 ? 0 : Math.min(1, removed / Math.max(1, alive + removed)),
  }));
  return ok({ trace: { name, lengthUs, events }, repairs });
}
