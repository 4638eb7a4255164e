/** Lines of a CSV file with their numbers, and the columns that its header names. */

import { fail, ok, type Result } from "@millrace/std";

/** What is wrong with a file, at which line (from 1), and what was expected. */
export interface LineProblem {
  readonly line: number;
  readonly problem: string;
  readonly expected: string;
}

export const problemAt = (line: number, problem: string, expected: string): LineProblem => ({
  line,
  problem,
  expected,
});

export const describeProblem = ({ line, problem, expected }: LineProblem): string =>
  `line ${line}: ${problem}; expected ${expected}`;

export interface Row {
  readonly line: number;
  readonly cells: readonly string[];
}

export interface Table {
  /** Names in lower case, without quotes. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** A week of 30 requests a second; the file's text would not fit one string much later. */
export const ROWS_MAX = 20_000_000;

/**
 * Splits comma-separated lines; blank lines and lines that start with `#` are skipped, a byte order
 * mark and quotes around a cell are taken off. Cells hold no commas: numbers, names and times.
 */
export function parseTable(text: string): Result<Table, LineProblem> {
  const rows: Row[] = [];
  let columns: readonly string[] | undefined;
  let line = 0;
  for (let from = 0; from < text.length;) {
    const found = text.indexOf("\n", from);
    const to = found === -1 ? text.length : found;
    const content = text
      .slice(from, to)
      .replace(/^\uFEFF/, "")
      .trim();
    from = to + 1;
    line++;
    if (content === "" || content.startsWith("#")) continue;
    const cells = content.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    if (columns === undefined) {
      columns = cells.map((cell) => cell.toLowerCase());
      continue;
    }
    if (cells.length !== columns.length) {
      const names = `${columns.length} (${columns.join(",")})`;
      return fail(problemAt(line, `${cells.length} columns`, names));
    }
    if (rows.length === ROWS_MAX)
      return fail(problemAt(line, "too many rows", `at most ${ROWS_MAX}`));
    rows.push({ line, cells });
  }
  if (columns === undefined) return fail(problemAt(1, "an empty file", "a header and rows"));
  if (rows.length === 0) return fail(problemAt(line, "no rows", "at least one after the header"));
  return ok({ columns, rows });
}

/**
 * Requests of a step or tokens of a request at most: 280 million a second for an hour. What is
 * above is a damaged file, and would swallow all other counts in a sum.
 */
export const AMOUNT_MAX = 1_000_000_000_000;

/** A finite number of at least 0, or undefined. */
export function parseAmount(text: string): number | undefined {
  if (!/^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** Why {@link parseAmount} refused. */
export function amountProblem(name: string, text: string): string {
  if (/^-\d/.test(text)) return `${name} ${text} is negative`;
  return `${name} ${JSON.stringify(text)} is no number`;
}
