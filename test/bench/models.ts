/** The benchmark's models: what they are to the floor and to the cluster. */

import { encodeModel, f32, i64, model, node, valueInfo } from "@millrace/onnx";

export interface BenchModel {
  readonly name: string;
  readonly file: Uint8Array;
  readonly input: string;
  /** Floats in a row of input. */
  readonly width: number;
  readonly maxBatch: number;
}

const FLOAT = 1;

export function tinyModel(): BenchModel {
  const width = 64;
  const weights = Float32Array.from({ length: width * width }, (_, at) => ((at * 7) % 13) / 50 - 0.1);
  const file = encodeModel(
    model({
      name: "tiny",
      node: [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
      initializer: [f32("w", [width, width], weights)],
      input: [valueInfo("x", FLOAT, ["batch", width])],
      output: [valueInfo("y", FLOAT, ["batch", width])],
    }),
  );
  return { name: "tiny", file, input: "x", width, maxBatch: 64 };
}

export function largeModel(): BenchModel {
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
  return { name: "large", file, input: "x", width, maxBatch: 8 };
}
