/** Reading signatures of files of unknown origin, in bounded time and memory. */

import {
  attribute,
  ELEMENT,
  encodeModel,
  f32,
  i64,
  model,
  node,
  type OnnxNode,
  type OnnxTensor,
  valueInfo,
} from "@millrace/onnx";
import { describe, expect, test } from "vitest";
import { inspectModel } from "../src/index.ts";
import { signatureOf } from "../src/inspect.ts";
import { addModel, floatFile, identityModel, paddedModel } from "./models.ts";

const LIMITS = { timeoutMs: 20_000, memoryBytesMax: 1024 ** 3 };

async function refusal(file: Uint8Array, limits = LIMITS) {
  const result = await inspectModel(file, limits);
  if (result.ok) throw new Error("the model was accepted");
  return result.error;
}

describe("signatures", () => {
  test("names, datatypes and shapes are read, and rows that grow make a batch", async () => {
    expect(await inspectModel(paddedModel().file(), LIMITS)).toEqual({
      ok: true,
      value: {
        inputs: [{ name: "x", datatype: "INT64", shape: [-1, -1] }],
        outputs: [
          { name: "y", datatype: "INT64", shape: [-1, -1] },
          { name: "sum", datatype: "INT64", shape: [-1] },
        ],
        maxBatch: 32,
      },
    });
  });

  test("BF16 and BYTES are named as they are", async () => {
    for (const datatype of ["BF16", "BYTES"] as const) {
      const result = await inspectModel(identityModel(datatype).file(), LIMITS);
      const edge = { datatype, shape: [-1, 3] };
      expect(result).toMatchObject({
        ok: true,
        value: { inputs: [edge], outputs: [edge], maxBatch: 32 },
      });
    }
  });

  test("a first dimension that is open but does not follow the rows is no batch", async () => {
    const file = encodeModel(
      model({
        node: [node("NonZero", ["x"], ["y"])],
        input: [valueInfo("x", ELEMENT.FLOAT, ["N", 4])],
        output: [valueInfo("y", ELEMENT.INT64, ["R", "K"])],
      }),
    );
    expect(await inspectModel(file, LIMITS)).toMatchObject({ ok: true, value: { maxBatch: 0 } });
  });

  test("a fixed first dimension is no batch", async () => {
    const file = encodeModel(
      model({
        node: [node("Neg", ["x"], ["y"])],
        input: [valueInfo("x", ELEMENT.FLOAT, [1, 4])],
        output: [valueInfo("y", ELEMENT.FLOAT, [1, 4])],
      }),
    );
    expect(await inspectModel(file, LIMITS)).toMatchObject({
      ok: true,
      value: { maxBatch: 0, inputs: [{ shape: [1, 4] }] },
    });
  });

  test("an output that declares no shape takes the rank that a run showed", () => {
    const x = { name: "x", elementType: 1, datatype: "FP32" as const, dims: ["N", 4] };
    const y = { name: "y", elementType: 1, datatype: "FP32" as const, dims: undefined };
    const seen = {
      ok: true,
      inputs: [{ name: "x", shape: [-1, 4] }],
      outputs: [{ name: "y", shape: [] }],
    } as const;
    const ran = { ...seen, trials: [{ dims: [[1, 9]] }, { dims: [[2, 9]] }] };
    expect(signatureOf({ inputs: [x], outputs: [y] }, ran)).toMatchObject({
      ok: true,
      value: { outputs: [{ shape: [-1, -1] }], maxBatch: 32 },
    });
    const failed = { ...seen, trials: [{ message: "no" }, { message: "no" }] };
    expect(signatureOf({ inputs: [x], outputs: [y] }, failed)).toMatchObject({
      ok: false,
      error: { code: "MODEL_UNSUPPORTED", message: expect.stringContaining("output y") },
    });
  });
});

describe("refusals", () => {
  test("what is no model, or only part of one, is corrupt", async () => {
    const whole = addModel().file();
    for (const file of [new Uint8Array(0), new Uint8Array(500).fill(77), whole.slice(0, 60)]) {
      expect(await refusal(file)).toMatchObject({ code: "MODEL_CORRUPT" });
    }
  });

  test("a graph that makes no sense is corrupt", async () => {
    const cyclic = [node("Add", ["x", "y"], ["z"]), node("Relu", ["z"], ["y"])];
    expect(await refusal(floatFile(cyclic))).toMatchObject({ code: "MODEL_CORRUPT" });
  });

  test("an operator that onnxruntime does not have is named", async () => {
    const fault = await refusal(floatFile([node("Nonsense", ["x"], ["y"])]));
    expect(fault.code).toBe("MODEL_UNSUPPORTED");
    expect(fault.message).toContain("Nonsense");
  });

  test("an element type that no request can carry is refused", async () => {
    const complex = 14;
    const file = encodeModel(
      model({
        node: [node("Identity", ["x"], ["y"])],
        input: [valueInfo("x", complex, ["N", 4])],
        output: [valueInfo("y", complex, ["N", 4])],
      }),
    );
    expect(await refusal(file)).toMatchObject({ code: "MODEL_UNSUPPORTED" });
  });

  test("a small file that would fill the memory is stopped at the limit", async () => {
    const nodes = [
      node("ConstantOfShape", ["dims"], ["big"], { value: attribute.tensor(f32("one", [1], [1])) }),
      node("ReduceSum", ["big"], ["sum"], { keepdims: attribute.int(0) }),
      node("Add", ["x", "sum"], ["y"]),
    ];
    const file = floatFile(nodes, [i64("dims", [1], [2 ** 30])]); // 4 GiB of ones
    const fault = await refusal(file, { timeoutMs: 20_000, memoryBytesMax: 300 * 1024 ** 2 });
    expect(fault).toMatchObject({
      code: "MODEL_TOO_LARGE",
      message: expect.stringContaining("300 MiB"),
    });
  });

  test("a model that does not end is stopped at the limit", async () => {
    const fault = await refusal(endlessFile(), { timeoutMs: 800, memoryBytesMax: 1024 ** 3 });
    expect(fault).toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringContaining("800 ms"),
    });
  });
});

/** A loop of 2^62 rounds around x + 1. */
function endlessFile(): Uint8Array {
  const scalar = (name: string, dataType: number, bytes: Uint8Array): OnnxTensor => ({
    name,
    dims: [],
    dataType,
    rawData: bytes,
  });
  const rounds = new Uint8Array(BigInt64Array.of(2n ** 62n).buffer);
  const body = {
    name: "body",
    node: [node("Identity", ["go"], ["on"]), node("Add", ["v", "one"], ["w"])] as OnnxNode[],
    initializer: [f32("one", [1], [1])],
    input: [
      valueInfo("i", ELEMENT.INT64, []),
      valueInfo("go", ELEMENT.BOOL, []),
      valueInfo("v", ELEMENT.FLOAT, ["N", 4]),
    ],
    output: [valueInfo("on", ELEMENT.BOOL, []), valueInfo("w", ELEMENT.FLOAT, ["N", 4])],
  };
  return floatFile(
    [node("Loop", ["rounds", "yes", "x"], ["y"], { body: attribute.graph(body) })],
    [scalar("rounds", ELEMENT.INT64, rounds), scalar("yes", ELEMENT.BOOL, Uint8Array.of(1))],
  );
}
