/** The benchmark's models, with a row of input for each. */

import { BENCH_MODELS, benchModel, type BenchModelName } from "@millrace/examples";
import type { ClusterModel } from "../support/cluster.ts";

export interface BenchModel extends ClusterModel {
  readonly name: BenchModelName;
  readonly maxBatch: number;
  /** The only input. */
  readonly input: string;
  readonly datatype: "FP32" | "INT64";
  /** Shape of one row, without the batch. */
  readonly dims: readonly number[];
}

const INPUTS: Readonly<Record<BenchModelName, Pick<BenchModel, "input" | "datatype" | "dims">>> = {
  tiny: { input: "x", datatype: "FP32", dims: [64] },
  mlp10m: { input: "x", datatype: "FP32", dims: [512] },
  encoder1g: { input: "ids", datatype: "INT64", dims: [256] },
  echo600k: { input: "x", datatype: "FP32", dims: [150_000] },
};

export const benchModels = (): readonly BenchModel[] =>
  BENCH_MODELS.map((name) => {
    const model = benchModel(name);
    return { ...model, ...INPUTS[name], name, maxBatch: model.options.maxBatch };
  });

/** One row of input: values between -1 and 1, or small whole numbers, that differ. */
export function rowOf({ datatype, dims }: Pick<BenchModel, "datatype" | "dims">): Uint8Array {
  const length = dims.reduce((product, dim) => product * dim, 1);
  const values =
    datatype === "FP32"
      ? Float32Array.from({ length }, (_, at) => ((at * 31) % 201) / 100 - 1)
      : BigInt64Array.from({ length }, (_, at) => BigInt((at * 31) % 997));
  return new Uint8Array(values.buffer);
}
