/** Load facts as CSV, a line each: what one cluster exports, another imports. */

import { fail, isName, NAME_RULE, ok, type Result } from "@millrace/std";
import { LOAD_AMOUNTS, type LoadFact, PRIORITIES, type Priority } from "@millrace/protocol";
import { HOUR_US, MINUTE_US } from "./series.ts";
import {
  amountProblem,
  type LineProblem,
  parseAmount,
  parseTable,
  problemAt,
  type Row,
} from "./table.ts";
import { formatTimestamp, parseTimestampUs } from "./timestamp.ts";

const PLACES = ["timestamp", "span_s", "model", "priority", "source", "tenant", "kind"] as const;
const snake = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const COLUMNS = [...PLACES, ...LOAD_AMOUNTS.map(snake)];
const SECOND_US = 1_000_000;

/** A header first. */
export function formatFacts(facts: readonly LoadFact[]): string {
  const lines = facts.map((fact) =>
    [
      formatTimestamp(fact.atUs),
      fact.spanUs / SECOND_US,
      fact.model,
      fact.priority,
      fact.source,
      fact.tenant ?? "",
      fact.kind ?? "",
      ...LOAD_AMOUNTS.map((name) => fact[name]),
    ].join(","),
  );
  return [COLUMNS.join(","), ...lines, ""].join("\n");
}

/** Whether the text begins with the header of facts, and is no trace. */
export const isFactsFile = (text: string): boolean =>
  text.replace(/^\uFEFF/, "").startsWith(`${COLUMNS.slice(0, 5).join(",")},`);

/** What {@link formatFacts} wrote; fails with the first line that is wrong. */
export function parseFacts(text: string): Result<LoadFact[], LineProblem> {
  const table = parseTable(text);
  if (!table.ok) return table;
  const { columns, rows } = table.value;
  if (columns.join() !== COLUMNS.join()) {
    return fail(problemAt(1, `columns ${columns.join(",")}`, COLUMNS.join(",")));
  }
  const facts: LoadFact[] = [];
  for (const row of rows) {
    const fact = parseFact(row);
    if (!fact.ok) return fact;
    facts.push(fact.value);
  }
  return ok(facts);
}

function parseFact({ cells, line }: Row): Result<LoadFact, LineProblem> {
  const [time = "", span = "", model = "", priorityName = "", source = "", tenant, kind] = cells;
  const atUs = parseTimestampUs(time);
  const spanUs = Number(span) * SECOND_US;
  if (spanUs !== MINUTE_US && spanUs !== HOUR_US) {
    return fail(problemAt(line, `span_s ${span}`, "60 or 3600"));
  }
  if (atUs === undefined || atUs % spanUs !== 0) {
    const whole = `the start of a whole span of ${span} s`;
    return fail(problemAt(line, `timestamp ${JSON.stringify(time)}`, whole));
  }
  const priority = PRIORITIES.find((each): each is Priority => each === priorityName);
  if (priority === undefined) {
    return fail(problemAt(line, `priority ${priorityName}`, `one of ${PRIORITIES.join(", ")}`));
  }
  for (const name of [model, source, tenant || source, kind || source]) {
    if (!isName(name)) return fail(problemAt(line, `name ${JSON.stringify(name)}`, NAME_RULE));
  }
  const amounts: [string, number][] = [];
  for (const [at, name] of LOAD_AMOUNTS.entries()) {
    const cell = cells[PLACES.length + at] ?? "";
    const amount = parseAmount(cell);
    if (amount === undefined || !Number.isSafeInteger(amount)) {
      const expected = "a whole number of at least 0";
      return fail(problemAt(line, amountProblem(snake(name), cell), expected));
    }
    amounts.push([name, amount]);
  }
  return ok({
    v: 1,
    model,
    priority,
    source,
    ...(tenant ? { tenant } : {}),
    ...(kind ? { kind } : {}),
    atUs,
    spanUs,
    ...(Object.fromEntries(amounts) as Record<(typeof LOAD_AMOUNTS)[number], number>),
  });
}
