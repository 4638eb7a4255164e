/** The benchmark's models: what they are to the floor and to the cluster. */

import { encodeModel, f32, i64, model, node, valueInfo } from "@millrace/onnx";

export interface BenchModel {
  readonly name: string;
  readonly file: Uint8Array;
  readonly input: string;
  /** Shape of one row of input, without the batch. */
  readonly dims: readonly number[];
  readonly maxBatch: number;
}

/** Floats in one row of input. */
export const widthOf = (model: BenchModel): number =>
  model.dims.reduce((product, dim) => product * dim, 1);

const FLOAT = 1;

function tinyModel(): BenchModel {
  const width = 64;
  const weights = Float32Array.from(
    { length: width * width },
    (_, at) => ((at * 7) % 13) / 50 - 0.1,
  );
  const file = encodeModel(
    model({
      name: "tiny",
      node: [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
      initializer: [f32("w", [width, width], weights)],
      input: [valueInfo("x", FLOAT, ["batch", width])],
      output: [valueInfo("y", FLOAT, ["batch", width])],
    }),
  );
  return { name: "tiny", file, input: "x", dims: [width], maxBatch: 64 };
}

function largeModel(): BenchModel {
  const width = 150_000;
  const file = encodeModel(
    model({
      name: "large",
      node: [node("ReduceMean", ["x", "axes"], ["y"])],
      initializer: [i64("axes", [1], [1])],
      input: [valueInfo("x", FLOAT, ["batch", width])],
      output: [valueInfo("y", FLOAT, ["batch", 1])],
    }),
  );
  return { name: "large", file, input: "x", dims: [width], maxBatch: 8 };
}

export const benchModels = (): readonly BenchModel[] => [tinyModel(), largeModel()];
