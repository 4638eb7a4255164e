/** The answer of a model, for people: the likely labels, or the first values. */

import * as v from "valibot";

export const responseSchema = v.object({
  model_name: v.string(),
  model_version: v.optional(v.string()),
  outputs: v.array(
    v.object({
      name: v.string(),
      datatype: v.string(),
      shape: v.array(v.number()),
      data: v.optional(v.array(v.unknown()), []),
    }),
  ),
});
export type InferAnswer = v.InferOutput<typeof responseSchema>;
type Output = InferAnswer["outputs"][number];

const ROWS_SHOWN = 10;
const LABELS_SHOWN = 3;
const VALUES_SHOWN = 16;

export function renderAnswer(answer: InferAnswer, labels: readonly string[] | undefined): string {
  const { model_name: name, model_version: version } = answer;
  const title = version === undefined ? name : `${name}@${version}`;
  const lines = answer.outputs.flatMap((output) => renderOutput(output, labels));
  return [title, ...lines.map((line) => `  ${line}`)].join("\n");
}

function renderOutput(output: Output, labels: readonly string[] | undefined): readonly string[] {
  const { name, datatype, shape, data } = output;
  const head = `${name} ${datatype} [${shape.join(",")}]`;
  const numbers = data.every((value) => typeof value === "number") ? data : undefined;
  if (labels !== undefined && numbers !== undefined) {
    // Whole numbers are classes, others are scores of all classes.
    if (/^U?INT/.test(datatype)) {
      const names = numbers.map((index) => labels[index] ?? String(index));
      return [`${head}: ${clip(names, ROWS_SHOWN)}`];
    }
    if (shape.at(-1) === labels.length) {
      return [head, ...labelRows(numbers, labels).map((row) => `  ${row}`)];
    }
  }
  return [`${head}: ${clip(data.map(formatValue), VALUES_SHOWN)}`];
}

/** One line per row: the best labels, as percentages where the row is a distribution. */
function labelRows(numbers: readonly number[], labels: readonly string[]): readonly string[] {
  const rows: string[] = [];
  const count = Math.floor(numbers.length / labels.length);
  for (let row = 0; row < Math.min(count, ROWS_SHOWN); row++) {
    const scores = numbers.slice(row * labels.length, (row + 1) * labels.length);
    const sum = scores.reduce((total, score) => total + score, 0);
    const likely = scores.every((score) => score >= 0 && score <= 1) && Math.abs(sum - 1) < 0.01;
    const best = scores
      .map((score, at) => ({ label: labels[at] ?? "", score }))
      .toSorted((a, b) => b.score - a.score)
      .slice(0, LABELS_SHOWN)
      .map(({ label, score }) => {
        return `${label} ${likely ? `${(100 * score).toFixed(1)} %` : formatValue(score)}`;
      });
    rows.push(best.join("   "));
  }
  if (count > ROWS_SHOWN) rows.push(`... ${count - ROWS_SHOWN} more rows`);
  return rows;
}

const formatValue = (value: unknown): string =>
  typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(6)))
    : typeof value === "string"
      ? value
      : JSON.stringify(value);

const clip = (values: readonly string[], most: number): string =>
  values.length <= most
    ? values.join(", ")
    : `${values.slice(0, most).join(", ")}, ... ${values.length - most} more`;
