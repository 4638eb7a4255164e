/** What the cells of a table are taken for, in HTML as in Markdown. */

import type { Cell } from "./document.ts";

export const textOf = (cell: Cell): string => (typeof cell === "object" ? cell.text : String(cell));

/** A number with its unit, and perhaps another beside it: $1.50, 12 ms, 3.1 % (2.9 %). */
const FIGURE = /^[$<]? ?-?\d[\d.,]*(?: ?%| [A-Za-z]+(?:\/[a-z]+)?)?(?: \([^)]*\))?$/;
const NOTHING = /^-?$/;

/** Columns of figures are aligned to the right. */
export function isFigures(rows: readonly (readonly Cell[])[], column: number): boolean {
  const cells = rows.map((row) => row[column] ?? "").filter((cell) => !NOTHING.test(textOf(cell)));
  return (
    cells.length > 0 && cells.every((cell) => typeof cell === "number" || FIGURE.test(textOf(cell)))
  );
}
