/** The example models that are committed here, ready to be pushed. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Datatype, PushOptions } from "@millrace/protocol";

/** A tensor as the Open Inference Protocol writes it in JSON. */
export interface SampleTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: readonly number[];
}

/** A real input that the model was not trained on, and answers rightly. */
export interface ExampleSample {
  /** Counted from 1 in the data set's file, its header apart. */
  readonly row: number;
  readonly label: string;
  /** The message that `ids` were made from, for `sms-spam`. */
  readonly text?: string;
  readonly inputs: readonly SampleTensor[];
}

export interface ExampleModel {
  readonly name: string;
  /** Path of the ONNX file. */
  readonly file: string;
  readonly options: PushOptions;
  readonly samples: readonly ExampleSample[];
  /** Path of a picture to try an image model with. */
  readonly picture?: string;
}

const pathOf = (name: string, file: string): string =>
  fileURLToPath(new URL(`../models/${name}/${file}`, import.meta.url));

const read = (name: string, file: string): string => readFileSync(pathOf(name, file), "utf8");

/** These files are part of the repository and held by its tests, so they are not checked again. */
const exampleModel = (name: string): ExampleModel => ({
  name,
  file: pathOf(name, "model.onnx"),
  options: JSON.parse(read(name, "model.json")) as PushOptions,
  samples: read(name, "samples.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as ExampleSample),
});

export const exampleModels = (): readonly ExampleModel[] => [
  { ...exampleModel("digits"), picture: pathOf("digits", "seven.png") },
  exampleModel("sms-spam"),
];
