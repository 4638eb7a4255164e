/** Counts single requests into steps, and sums their token columns alongside. */

import { assert, fail, ok, type Result } from "@millrace/std";
import { STEPS_MAX } from "./counts.ts";
import { MINUTE_US } from "./series.ts";
import {
  AMOUNT_MAX,
  amountProblem,
  type LineProblem,
  parseAmount,
  problemAt,
  type Table,
} from "./table.ts";
import { parseTimestampUs } from "./timestamp.ts";
import type { Trace, TraceOptions } from "./trace.ts";

/** Other columns, such as a model's name or a session, are not read. */
const isSummed = (name: string): boolean => /token|bytes/.test(name);

/**
 * One row per request, its time first: an offset in units of `offsetUs` from a start that the file
 * does not say (the series then starts at 0), or a timestamp where that is undefined. A step
 * without a request is 0: a file of requests has no gaps that could be told from silence.
 */
export function parseRequests(
  { columns, rows }: Table,
  offsetUs: number | undefined,
  { requestStepUs = MINUTE_US }: TraceOptions,
): Result<Trace, LineProblem> {
  assert(requestStepUs > 0, "requests are counted into steps of some length");
  const values: number[] = [];
  const summed = columns.flatMap((name, at) => (at > 0 && isSummed(name) ? [{ name, at }] : []));
  if (columns.length > 1 && summed.length === 0) {
    const expected = "a column of tokens or bytes, which tells requests from other events";
    return fail(problemAt(1, `columns ${columns.slice(1).join(",")}`, expected));
  }
  const sums = summed.map((): number[] => []);
  let startUs: number | undefined = offsetUs === undefined ? undefined : 0;
  let lastUs = Number.NEGATIVE_INFINITY;
  for (const { line, cells } of rows) {
    const read = readTimeUs(cells[0] ?? "", offsetUs, line);
    if (!read.ok) return read;
    const atUs = read.value;
    if (atUs < lastUs) {
      return fail(problemAt(line, "earlier than the row before", "requests in order of time"));
    }
    lastUs = atUs;
    startUs ??= Math.floor(atUs / requestStepUs) * requestStepUs;
    const step = Math.floor((atUs - startUs) / requestStepUs);
    if (step >= STEPS_MAX) {
      return fail(problemAt(line, "too long a span", `at most ${STEPS_MAX} steps`));
    }
    while (values.length <= step) {
      values.push(0);
      for (const sum of sums) sum.push(0);
    }
    values[step] = (values[step] as number) + 1;
    for (const [which, { name, at }] of summed.entries()) {
      const cell = cells[at] ?? "";
      const amount = parseAmount(cell);
      if (amount === undefined) {
        return fail(problemAt(line, amountProblem(name, cell), "a number of at least 0"));
      }
      if (amount > AMOUNT_MAX) {
        return fail(problemAt(line, `${name} ${cell} is too large`, `at most ${AMOUNT_MAX}`));
      }
      const sum = sums[which] as number[];
      sum[step] = (sum[step] as number) + amount;
    }
  }
  const series = { startUs: startUs ?? 0, stepUs: requestStepUs, values };
  const named = Object.fromEntries(
    summed.map(({ name }, which) => [name, sums[which] as number[]]),
  );
  return ok({ kind: "requests", series, sums: named, repairs: [] });
}

function readTimeUs(
  text: string,
  offsetUs: number | undefined,
  line: number,
): Result<number, LineProblem> {
  if (offsetUs === undefined) {
    const atUs = parseTimestampUs(text);
    return atUs === undefined
      ? fail(problemAt(line, `timestamp ${JSON.stringify(text)} is no time`, "ISO 8601 or epoch"))
      : ok(atUs);
  }
  const offset = parseAmount(text);
  return offset === undefined
    ? fail(problemAt(line, amountProblem("time", text), "a number of at least 0"))
    : ok(Math.round(offset * offsetUs));
}
