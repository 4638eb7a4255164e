/** Tells from a file's header what kind of trace it is, and has it read. */

import { fail, type Result } from "@millrace/std";
import { parseCounts } from "./counts.ts";
import { parseRequests } from "./requests.ts";
import { type LineProblem, parseTable, problemAt } from "./table.ts";
import type { Trace, TraceOptions } from "./trace.ts";

const TIME_COLUMNS = ["timestamp", "time", "datetime", "date_time", "date", "ts"];
const COUNT_COLUMNS = [
  "count",
  "value",
  "requests",
  "arrivals",
  "num_requests",
  "request_count",
  "hits",
];
const OFFSET_COLUMNS: Readonly<Record<string, number>> = {
  t_seconds: 1_000_000,
  t_ms: 1_000,
  t_us: 1,
};

/**
 * Reads a trace: `timestamp,count` at any even step up to an hour, or one row per request
 * (`t_seconds,...`, `t_ms,...`, or `timestamp` without a count). Fails with the first line that no
 * rule repairs.
 */
export function parseTrace(text: string, options: TraceOptions = {}): Result<Trace, LineProblem> {
  const table = parseTable(text);
  if (!table.ok) return table;
  const columns = table.value.columns.map((name) => name.replaceAll(/[ -]/g, "_"));
  const [first = ""] = columns;
  const offsetUs = OFFSET_COLUMNS[first];
  if (offsetUs !== undefined) return parseRequests(table.value, offsetUs, options);
  if (!TIME_COLUMNS.includes(first)) {
    const names = [...TIME_COLUMNS, ...Object.keys(OFFSET_COLUMNS)].join(", ");
    const separated = /[;\t]/.test(first) ? ", with commas between columns" : "";
    const expected = `a header whose first is one of ${names}${separated}`;
    return fail(problemAt(1, `first column ${JSON.stringify(first)}`, expected));
  }
  const count = columns.findIndex((name) => COUNT_COLUMNS.includes(name));
  if (count !== -1) return parseCounts(table.value, count, options);
  if (columns.length === 1 || columns.some((name) => name.includes("token"))) {
    return parseRequests(table.value, undefined, options);
  }
  return fail(problemAt(1, "no column of counts", `one of ${COUNT_COLUMNS.join(", ")}`));
}
