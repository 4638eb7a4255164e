/** Runs ONNX files with onnxruntime on one thread. */

import * as ort from "onnxruntime-node";
import type { SampleTensor } from "../src/index.ts";

export interface Rows {
  /** Elements in each row. */
  readonly width: number;
  readonly data: Float32Array;
}

export type Run = (...inputs: readonly SampleTensor[]) => Promise<Readonly<Record<string, Rows>>>;

/** Opens the model, lets `use` run it, and releases it. */
export async function withModel(
  file: string | Uint8Array,
  use: (run: Run) => Promise<void>,
): Promise<void> {
  const options = { intraOpNumThreads: 1, executionProviders: ["cpu"] };
  const session =
    typeof file === "string"
      ? await ort.InferenceSession.create(file, options)
      : await ort.InferenceSession.create(file, options);
  try {
    await use(async (...inputs) => {
      const feeds = Object.fromEntries(inputs.map((input) => [input.name, tensorOf(input)]));
      const outputs = await session.run(feeds);
      return Object.fromEntries(
        Object.entries(outputs).map(([name, { dims, data }]) => [
          name,
          { width: dims[1] as number, data: data as Float32Array },
        ]),
      );
    });
  } finally {
    await session.release();
  }
}

const tensorOf = ({ datatype, shape, data }: SampleTensor): ort.Tensor =>
  datatype === "INT64"
    ? new ort.Tensor("int64", BigInt64Array.from(data, BigInt), shape)
    : new ort.Tensor("float32", Float32Array.from(data), shape);

/** The rows of an output, each as an array. */
export const rowsOf = ({ width, data }: Rows): number[][] =>
  Array.from({ length: data.length / width }, (_, row) => [
    ...data.subarray(row * width, (row + 1) * width),
  ]);

/** The place of the largest value in each row. */
export const classesOf = (rows: Rows): number[] =>
  rowsOf(rows).map((row) => row.indexOf(Math.max(...row)));

/** Several one-row inputs as one, each filled with 0 up to the longest. */
export function stacked(tensors: readonly SampleTensor[]): SampleTensor {
  const first = tensors[0] as SampleTensor;
  const length = Math.max(...tensors.map(({ data }) => data.length));
  const rest = first.shape.slice(2);
  return {
    ...first,
    shape: rest.length > 0 ? [tensors.length, ...first.shape.slice(1)] : [tensors.length, length],
    data: tensors.flatMap(({ data }) => [...data, ...zeros(length - data.length)]),
  };
}

export const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
