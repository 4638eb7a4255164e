/** The benchmark's models: valid, of the stated size, and the same in every row of a batch. */

import { expect, test } from "vitest";
import { scanModel } from "@millrace/onnx";
import { checkValue, pushOptionsSchema } from "@millrace/protocol";
import { BENCH_MODELS, benchModel, benchModels, type SampleTensor } from "../src/index.ts";
import { type Rows, rowsOf, withModel } from "./sessions.ts";

test("every model passes the scan and has options that a push accepts", () => {
  const models = benchModels();
  expect(models.map(({ name }) => name)).toEqual([...BENCH_MODELS]);
  for (const { file, options } of models) {
    expect(checkValue(pushOptionsSchema, options)).toMatchObject({ ok: true });
    expect(scanModel(file)).toMatchObject({ ok: true });
  }
});

const input = (name: string, shape: number[], value: (at: number) => number): SampleTensor => ({
  name,
  datatype: name === "ids" ? "INT64" : "FP32",
  shape,
  data: Array.from({ length: shape.reduce((product, dim) => product * dim, 1) }, (_, at) =>
    value(at),
  ),
});

test.each([
  ["tiny", input("x", [2, 64], (at) => (at % 64) / 64), 64],
  ["mlp10m", input("x", [2, 512], (at) => (at % 512) / 512), 256],
  ["encoder1g", input("ids", [2, 256], (at) => (at % 256) * 3), 256],
  ["echo600k", input("x", [2, 150_000], (at) => (at % 150_000) / 150_000), 1],
] as const)("%s answers equal rows equally and finitely", async (name, tensor, width) => {
  await withModel(benchModel(name).file, async (run) => {
    const { y } = await run(tensor);
    expect(y?.width).toBe(width);
    const [first, second] = rowsOf(y as Rows) as [number[], number[]];
    expect(first.every(Number.isFinite)).toBe(true);
    first.forEach((value, at) => expect(second[at]).toBeCloseTo(value, 4));
  });
});

test("echo600k answers the mean of its row", async () => {
  await withModel(benchModel("echo600k").file, async (run) => {
    const { y } = await run(input("x", [1, 150_000], (at) => at % 3));
    expect(y?.data[0]).toBeCloseTo(1, 4);
  });
});
