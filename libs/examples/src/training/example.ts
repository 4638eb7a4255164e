/** What training an example yields: everything that is committed for it. */

import type { OnnxModel } from "@millrace/onnx";
import type { PushOptions } from "@millrace/protocol";
import type { ExampleSample } from "../models.ts";

/** How well the model does on rows that it was not trained on. */
export interface Score {
  readonly correct: number;
  readonly rows: number;
}

export interface TrainedExample {
  readonly model: OnnxModel;
  readonly options: PushOptions;
  readonly samples: readonly ExampleSample[];
  readonly score: Score;
  /** The model card below its title and above the commands, in Markdown. */
  readonly card: string;
  /** Further files by name. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** Called once per epoch with a line about it. */
export type Progress = (line: string) => void;

export const percent = ({ correct, rows }: Score): string =>
  `${((100 * correct) / rows).toFixed(2)} % (${correct} of ${rows})`;

/** The whole numbers from 0 to below `count`. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
