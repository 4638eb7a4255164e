/** Models built in code whose right answer to any input is known without running them. */

import { ELEMENT, encodeModel, f32, model, node, type OnnxModel, valueInfo } from "@millrace/onnx";
import type { ClusterModel } from "./cluster.ts";
import type { Values } from "./inference.ts";

/** `x` FP32 [batch, width] becomes `y` = x * factor + offset, exactly for small whole numbers. */
export function affine(
  name: string,
  options: { readonly factor: number; readonly offset: number; readonly width?: number },
): ClusterModel {
  const { factor, offset, width = 4 } = options;
  const onnx = model({
    node: [node("Mul", ["x", "factor"], ["scaled"]), node("Add", ["scaled", "offset"], ["y"])],
    initializer: [f32("factor", [], [factor]), f32("offset", [], [offset])],
    input: [valueInfo("x", ELEMENT.FLOAT, ["batch", width])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", width])],
  });
  return built(name, 32, onnx);
}

/** Rows for {@link affine}. */
export const rowsOf = (data: readonly number[], width: number): Values => ({
  name: "x",
  datatype: "FP32",
  shape: [data.length / width, width],
  data,
});

export const rows4 = (data: readonly number[]): Values => rowsOf(data, 4);

const WIDTH = 512;

/**
 * `x` FP32 [batch, 512] becomes `y` = x, by as many products with the identity matrix as `layers`
 * says: each costs half a MFLOP a row, and leaves the row as it was.
 */
export function laborious(name: string, layers: number): ClusterModel {
  const identity = new Float32Array(WIDTH * WIDTH);
  for (let at = 0; at < WIDTH; at++) identity[at * WIDTH + at] = 1;
  const value = (layer: number): string =>
    layer === 0 ? "x" : layer === layers ? "y" : `product${layer}`;
  const onnx = model({
    node: Array.from({ length: layers }, (_, layer) =>
      node("MatMul", [value(layer), "identity"], [value(layer + 1)]),
    ),
    initializer: [f32("identity", [WIDTH, WIDTH], identity)],
    input: [valueInfo("x", ELEMENT.FLOAT, ["batch", WIDTH])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", WIDTH])],
  });
  return built(name, 16, onnx);
}

/** One row for {@link laborious}, which counts up from `value`. */
export const row512 = (value: number): Values => ({
  name: "x",
  datatype: "FP32",
  shape: [1, WIDTH],
  data: Array.from({ length: WIDTH }, (_, at) => value + at),
});

/**
 * `ids` INT64 [batch, 2] become `y` FP32 [batch, 2] = factor * id, from a table of `size` FP32. An
 * id from `size` on fits the signature and fails the run, and with it every other row of its batch.
 */
export function lookup(
  name: string,
  { size, factor }: { readonly size: number; readonly factor: number },
): ClusterModel {
  const table = Float32Array.from({ length: size }, (_, id) => factor * id);
  const onnx = model({
    node: [node("Gather", ["table", "ids"], ["y"])],
    initializer: [f32("table", [size], table)],
    input: [valueInfo("ids", ELEMENT.INT64, ["batch", 2])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 2])],
  });
  return built(name, 32, onnx);
}

/** Rows for {@link lookup}. */
export const ids2 = (data: readonly number[]): Values => ({
  name: "ids",
  datatype: "INT64",
  shape: [data.length / 2, 2],
  data,
});

const built = (name: string, maxBatch: number, onnx: OnnxModel): ClusterModel => ({
  file: encodeModel(onnx),
  options: {
    name,
    maxBatch,
    provenance: { source: "built by a test", upstreamName: name, licence: "Apache-2.0" },
  },
});
