/** Tiny models for the tests, and the specs that go with them. */

import { ELEMENT, encodeModel, f32, model, node, valueInfo } from "@millrace/onnx";
import { encodeTensors, type ModelSpec } from "@millrace/protocol";

export interface TestModel {
  readonly spec: Omit<ModelSpec, "digest">;
  readonly file: Uint8Array;
}

const common = {
  version: 1,
  provenance: { source: "test", upstreamName: "test", licence: "Apache-2.0" },
  createdAt: "2026-01-01T00:00:00Z",
} as const;

/** y = x + 1 over rows of `width` FP32. */
export function addModel(name: string, width: number, maxBatch: number): TestModel {
  const file = encodeModel(
    model({
      node: [node("Add", ["x", "one"], ["y"])],
      initializer: [f32("one", [1], [1])],
      input: [valueInfo("x", ELEMENT.FLOAT, ["N", width])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["N", width])],
    }),
  );
  const tensor = { datatype: "FP32" as const, shape: [-1, width] };
  const inputs = [{ name: "x", ...tensor }];
  const outputs = [{ name: "y", ...tensor }];
  return { file, spec: { ...common, name, bytes: file.length, inputs, outputs, maxBatch } };
}

/** y = [10, 11, 12][x]; an x outside of 0 to 2 makes the run fail. */
export function pickModel(name: string): TestModel {
  const file = encodeModel(
    model({
      node: [node("Gather", ["table", "x"], ["y"])],
      initializer: [f32("table", [3], [10, 11, 12])],
      input: [valueInfo("x", ELEMENT.INT64, ["N", 1])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["N", 1])],
    }),
  );
  const inputs = [{ name: "x", datatype: "INT64" as const, shape: [-1, 1] }];
  const outputs = [{ name: "y", datatype: "FP32" as const, shape: [-1, 1] }];
  return { file, spec: { ...common, name, bytes: file.length, inputs, outputs, maxBatch: 16 } };
}

/** One row of FP32, encoded. */
export const floats = (values: Float32Array): Uint8Array =>
  encodeTensors([
    { datatype: "FP32", dims: [1, values.length], bytes: new Uint8Array(values.buffer) },
  ]);

/** One row of one INT64, encoded. */
export const integer = (value: number): Uint8Array =>
  encodeTensors([
    {
      datatype: "INT64",
      dims: [1, 1],
      bytes: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
    },
  ]);
