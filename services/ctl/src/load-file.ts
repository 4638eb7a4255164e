/** Load files as commands read them: what is wrong with its line, what was repaired on request. */

import { readFileSync } from "node:fs";
import type { Fail, Result } from "@millrace/std";
import {
  describeProblem,
  isFactsFile,
  type LineProblem,
  parseFacts,
  parseTrace,
  type Repair,
  type Trace,
} from "@millrace/load-facts";
import { type KnownEvent, parseEvents } from "@millrace/forecasting";
import type { LoadFact } from "@millrace/protocol";
import { CommandError, usageError } from "./failure.ts";

export interface LoadFileOptions {
  /** `refuse` or `sum`: rows of one time that differ. */
  readonly duplicates?: string;
}

/** @throws CommandError with the file, the line and what was expected */
export function readTrace(path: string, { duplicates = "refuse" }: LoadFileOptions): Trace {
  if (duplicates !== "refuse" && duplicates !== "sum") {
    throw usageError(`--duplicates ${duplicates}`, "it is refuse or sum");
  }
  return parsed(path, parseTrace(readFileSync(path, "utf8"), { duplicates }));
}

/**
 * What `load export` wrote; undefined of a file that is a trace.
 * @throws CommandError with the file, the line and what was expected
 */
export function readExportedFacts(path: string): LoadFact[] | undefined {
  const text = readFileSync(path, "utf8");
  return isFactsFile(text) ? parsed(path, parseFacts(text)) : undefined;
}

/** @throws CommandError with the file, the line and what was expected */
export function readEvents(path: string | undefined): readonly KnownEvent[] {
  return path === undefined ? [] : parsed(path, parseEvents(readFileSync(path, "utf8")));
}

function parsed<T>(path: string, result: Result<T, LineProblem>): T {
  if (result.ok) return result.value;
  throw wrongFile(path, result);
}

const wrongFile = (path: string, { error }: Fail<LineProblem>): CommandError =>
  new CommandError(`${path}: ${describeProblem(error)}`, "correct the file; nothing was changed");

const REPAIRS_SHOWN = 10;

/** The repairs as lines for people, the first few of them in full. */
export function describeRepairs(path: string, repairs: readonly Repair[]): string[] {
  const lines = repairs
    .slice(0, REPAIRS_SHOWN)
    .map(({ line, rule, detail }) => `${path}:${line}: ${rule}: ${detail}`);
  const more = repairs.length - lines.length;
  return more > 0 ? [...lines, `${path}: ${more} more repairs`] : lines;
}
