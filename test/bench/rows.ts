/** What the benchmark prints: a row per measurement, held against its goal where it has one. */

import { formatTable } from "@millrace/std";

export type Unit = "req/s" | "rows/s" | "tickets/s" | "us" | "MiB";

/** `ratio` and `value` are what a goal speaks of. */
export interface Goal {
  readonly of: "ratio" | "value";
  readonly bound: "least" | "most";
  readonly than: number;
}

export interface Row {
  readonly name: string;
  readonly unit: Unit;
  readonly value: number;
  /** What the value is held against; undefined where it stands alone. */
  readonly floor: number | undefined;
  /**
   * Median of the ratios of each round's pair, so that a slow moment of the machine cancels out.
   */
  readonly ratio: number | undefined;
  readonly goal?: Goal;
}

export const ratioAtLeast = (than: number): Goal => ({ of: "ratio", bound: "least", than });
export const ratioAtMost = (than: number): Goal => ({ of: "ratio", bound: "most", than });
export const valueAtLeast = (than: number): Goal => ({ of: "value", bound: "least", than });

/** 0 for no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

/** What was measured in one round, the one after the other. */
export interface Pair {
  readonly floor: number;
  readonly value: number;
}

/** A row from what was measured in pairs, the floor and the cluster in turn. */
export function pairedRow(
  row: Pick<Row, "name" | "unit"> & { readonly goal?: Goal },
  pairs: readonly Pair[],
): Row {
  return {
    ...row,
    value: median(pairs.map((pair) => pair.value)),
    floor: median(pairs.map((pair) => pair.floor)),
    ratio: median(pairs.map((pair) => pair.value / pair.floor)),
  };
}

/** Undefined where there is no goal. */
export function isMet(row: Row): boolean | undefined {
  if (row.goal === undefined) return undefined;
  const { of, bound, than } = row.goal;
  const figure = of === "ratio" ? row.ratio : row.value;
  if (figure === undefined || !Number.isFinite(figure)) return false;
  return bound === "least" ? figure >= than : figure <= than;
}

const grouped = (value: number): string =>
  value >= 100
    ? Math.round(value).toLocaleString("en-US")
    : String(Number(value.toPrecision(value >= 1 ? 3 : 2)));

function goalText(goal: Goal | undefined): string {
  if (goal === undefined) return "";
  return `${goal.of} ${goal.bound === "least" ? ">=" : "<="} ${goal.than.toLocaleString("en-US")}`;
}

const MET_WORDS = { true: "yes", false: "NO", undefined: "" } as const;

export function formatRows(rows: readonly Row[]): string {
  const head = ["name", "unit", "value", "floor", "ratio", "goal", "met"];
  const cells = rows.map((row) => [
    row.name,
    row.unit,
    grouped(row.value),
    row.floor === undefined ? "-" : grouped(row.floor),
    row.ratio === undefined ? "-" : row.ratio.toFixed(2),
    goalText(row.goal),
    MET_WORDS[`${isMet(row)}`],
  ]);
  return formatTable([head, ...cells]);
}

/** The rows as `--json` writes them. */
export const jsonRows = (rows: readonly Row[]): string =>
  `${JSON.stringify(
    rows.map(({ name, unit, value, floor, ratio }) => ({
      name,
      unit,
      value,
      floor: floor ?? null,
      ratio: ratio ?? null,
    })),
    undefined,
    2,
  )}\n`;
