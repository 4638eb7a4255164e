/**
 * Trains the example models and writes what is committed for each: `npm run train -w
 * @millrace/examples`. With `--check` nothing is written, and any difference from the committed
 * files ends it with exit status 1. The first argument is the directory of the data sets.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { encodeModel } from "@millrace/onnx";
import type { Progress, TrainedExample } from "./example.ts";
import { trainDigits } from "./digits.ts";
import { trainSmsSpam } from "./sms-spam.ts";

const DATASETS = new URL("../../../../../shared/datasets/", import.meta.url).pathname;
const MODELS = new URL("../../models/", import.meta.url);

/** As the formatter wants it: an object's members on lines of their own, a list on one. */
const json = (value: unknown): string =>
  `${JSON.stringify(value, undefined, 2)}\n`.replace(/\[[^[{]*?\]/g, (list) =>
    list.replace(/\n */g, " ").replace("[ ", "[").replace(" ]", "]"),
  );

const jsonLines = (values: readonly unknown[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** Files by name; the card is apart because it has a date. */
const filesOf = (example: TrainedExample): Record<string, Uint8Array | string> => ({
  "model.onnx": encodeModel(example.model),
  "model.json": json(example.options),
  "samples.jsonl": jsonLines(example.samples),
  ...example.files,
});

const cardOf = ({ options, card }: TrainedExample, date: string): string => `\
# ${options.name}

${card}
## Reproduce

Trained on ${date}. The same command gives the same bytes again:

    npm run train -w @millrace/examples -- DIRECTORY

DIRECTORY holds UCI's \`optdigits.tra\`, \`optdigits.tes\` and \`SMSSpamCollection.tsv\`, with or without a header
line. With \`--check\` the command compares and writes nothing.
`;

function write(example: TrainedExample, date: string): void {
  const folder = new URL(`${example.options.name}/`, MODELS);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL("card.md", folder), cardOf(example, date));
  for (const [name, content] of Object.entries(filesOf(example))) {
    writeFileSync(new URL(name, folder), content);
  }
}

/** The names of the committed files that differ from the example. */
const differing = (example: TrainedExample): string[] =>
  Object.entries(filesOf(example))
    .filter(([name, content]) => {
      const committed = readFileSync(new URL(`${example.options.name}/${name}`, MODELS));
      return !committed.equals(Buffer.from(content));
    })
    .map(([name]) => `${example.options.name}/${name}`);

function main(): void {
  const { values, positionals } = parseArgs({
    options: { check: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const directory = positionals[0] ?? DATASETS;
  const progress: Progress = (line) => console.info(line);
  const examples = [trainSmsSpam(directory, progress), trainDigits(directory, progress)];
  const date = new Date().toISOString().slice(0, 10);
  if (values.check) {
    const changed = examples.flatMap(differing);
    console.info(changed.length === 0 ? "nothing differs" : `different: ${changed.join(", ")}`);
    process.exitCode = changed.length === 0 ? 0 : 1;
    return;
  }
  for (const example of examples) {
    write(example, date);
    const { correct, rows } = example.score;
    console.info(`${example.options.name}: ${correct} of ${rows} held-back rows are right`);
  }
}

main();
