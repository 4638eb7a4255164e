/**
 * What a model may take of the fleet, and what it needs of it: its least and most workers, what it
 * may cost by the hour, how long its batch work may wait, and how long a request may take. A file
 * of such limits is an object of models.
 */

import { fail, ok, type Result } from "@millrace/std";
import { Fields } from "./fields.ts";
import { type Located, type Problem, readLocated } from "./located-json.ts";
import { MICROS } from "./price-book.ts";

/** What is left out is as for every model. */
export interface ModelLimits {
  readonly workersMin?: number;
  readonly workersMax?: number;
  readonly budgetMicrosPerHour?: number;
  /** How long its work of priority batch may wait for a trough; 0 where it may not. */
  readonly batchWaitSeconds?: number;
  /** How long a request may take: what a worker can do of the model is measured at it. */
  readonly objectiveMs?: number;
}

const KNOWN = ["workersMin", "workersMax", "budgetPerHour", "batchWaitSeconds", "objectiveMs"];
const WORKERS_MAX = 10_000;
const BUDGET_MAX = 1_000_000;
export const BATCH_WAIT_SECONDS_MAX = 86_400;
export const OBJECTIVE_MS_MAX = 600_000;

/** @returns the limits by model, or everything that is wrong with them, by path and line. */
export function parseModelLimits(
  text: string,
): Result<ReadonlyMap<string, ModelLimits>, readonly Problem[]> {
  const document = readLocated(text);
  if (!document.ok) return fail([document.error]);
  const { line, value } = document.value;
  if (!(value instanceof Map)) {
    return fail([{ path: "", line, message: "an object of models expected" }]);
  }
  const problems: Problem[] = [];
  const models = [...(value as ReadonlyMap<string, Located>)];
  const limits = models.map(([model, node]) => [model, readLimits(node, model, problems)] as const);
  return problems.length === 0 ? ok(new Map(limits)) : fail(problems);
}

function readLimits(node: Located, model: string, problems: Problem[]): ModelLimits {
  const fields = new Fields(node, model, KNOWN, problems);
  const whole = (name: string, most: number, least = 0): number | undefined => {
    if (!fields.has(name)) return undefined;
    const count = fields.number(name, least, most);
    if (!Number.isInteger(count)) fields.refuse(name, `a whole number expected, is ${count}`);
    return count;
  };
  const workersMin = whole("workersMin", WORKERS_MAX);
  const workersMax = whole("workersMax", WORKERS_MAX);
  if (workersMin !== undefined && workersMax !== undefined && workersMin > workersMax) {
    fields.refuse("workersMin", `at most workersMax expected, ${workersMax}; is ${workersMin}`);
  }
  const budget = fields.has("budgetPerHour")
    ? fields.number("budgetPerHour", 1 / MICROS, BUDGET_MAX)
    : undefined;
  const batchWaitSeconds = whole("batchWaitSeconds", BATCH_WAIT_SECONDS_MAX);
  const objectiveMs = whole("objectiveMs", OBJECTIVE_MS_MAX, 1);
  return {
    ...(objectiveMs === undefined ? {} : { objectiveMs }),
    ...(batchWaitSeconds === undefined ? {} : { batchWaitSeconds }),
    ...(workersMin === undefined ? {} : { workersMin }),
    ...(workersMax === undefined ? {} : { workersMax }),
    ...(budget === undefined ? {} : { budgetMicrosPerHour: Math.round(budget * MICROS) }),
  };
}
