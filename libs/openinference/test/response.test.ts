/** What a client reads. */

import { describe, expect, test } from "vitest";
import type { Tensor } from "@millrace/protocol";
import {
  errorDocument,
  modelConfig,
  modelMetadata,
  modelStats,
  prepareSignature,
  repositoryIndex,
  serverMetadata,
  writeInferResponse,
} from "../src/index.ts";
import { bytesOf, floats, single, tokens } from "./fixtures.ts";

const signature = prepareSignature(floats);
const y: Tensor = {
  datatype: "FP32",
  dims: [1, 2],
  bytes: bytesOf(new Float32Array([0.5, -2])),
};

function written(...args: Parameters<typeof writeInferResponse>) {
  const result = writeInferResponse(...args);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

test("more numbers than can be written as text are refused, and as tensors they are not", () => {
  const bytes = new Uint8Array(12 * 1024 * 1024);
  const large: Tensor = { datatype: "FP32", dims: [1, bytes.length / 4], bytes };
  expect(writeInferResponse(signature, undefined, signature.allAsJson, [large])).toMatchObject({
    ok: false,
    error: { code: "OUTPUT_TOO_LARGE", message: expect.stringContaining("binary_data_output") },
  });
  const asTensors = signature.allAsJson.map((each) => ({ ...each, binary: true }));
  expect(written(signature, undefined, asTensors, [large]).binary).toEqual([bytes]);
});

describe("an inference response", () => {
  test("in JSON has no parameters anywhere", () => {
    const { json, binary } = written(signature, 'a"b', signature.allAsJson, [y]);
    expect(JSON.parse(json)).toEqual({
      id: 'a"b',
      model_name: "floats",
      model_version: "3",
      outputs: [{ name: "y", datatype: "FP32", shape: [1, 2], data: [0.5, -2] }],
    });
    expect(binary).toEqual([]);
    expect(json).not.toContain("parameters");
  });

  test("in binary announces the sizes and keeps the bytes", () => {
    const { json, binary } = written(signature, undefined, signature.allAsBinary, [y]);
    expect(JSON.parse(json)).toEqual({
      model_name: "floats",
      model_version: "3",
      outputs: [
        { name: "y", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } },
      ],
    });
    expect(binary[0]).toBe(y.bytes);
  });

  test("reads a tensor that is a view of a Buffer, at any offset", () => {
    const message = Buffer.concat([Buffer.alloc(3), y.bytes, Buffer.alloc(2)]);
    const view = { ...y, bytes: message.subarray(3, 3 + y.bytes.length) };
    const { json } = written(signature, undefined, signature.allAsJson, [view]);
    expect(JSON.parse(json).outputs[0].data).toEqual([0.5, -2]);
  });

  test("has the outputs that were asked for, in that order", () => {
    const two = prepareSignature(tokens);
    const label = {
      datatype: "BYTES",
      dims: [1],
      bytes: new Uint8Array([1, 0, 0, 0, 65]),
    } as const;
    const scores = { datatype: "FP16", dims: [1, 2], bytes: new Uint8Array(4) } as const;
    const wanted = [
      { slot: two.outputs[1], binary: true },
      { slot: two.outputs[0], binary: false },
    ] as Parameters<typeof writeInferResponse>[2];
    const { json } = written(two, undefined, wanted, [label, scores]);
    expect(JSON.parse(json).outputs).toEqual([
      { name: "scores", datatype: "FP16", shape: [1, 2], parameters: { binary_data_size: 4 } },
      { name: "label", datatype: "BYTES", shape: [1], data: ["A"] },
    ]);
  });

  test.each([
    ["BOOL", new Uint8Array([1, 0]), [true, false]],
    ["UINT8", new Uint8Array([1, 255]), [1, 255]],
    ["INT16", new Int16Array([-1, 5]), [-1, 5]],
    ["FP64", new Float64Array([0.1, 1e300]), [0.1, 1e300]],
    ["FP32", new Float32Array([NaN, -Infinity]), ["NaN", "-Infinity"]],
  ] as const)("%s elements as JSON, from bytes at any alignment", (datatype, array, expected) => {
    const source = bytesOf(array);
    const shifted = new Uint8Array(source.length + 1);
    shifted.set(source, 1);
    const one = prepareSignature(single(datatype, [2]));
    const tensor = { datatype, dims: [2], bytes: shifted.subarray(1) };
    const { json } = written(one, undefined, one.allAsJson, [tensor]);
    expect(JSON.parse(json).outputs[0].data).toEqual(expected);
  });

  test("64-bit integers keep every digit", () => {
    const one = prepareSignature(single("INT64", [1]));
    const bytes = bytesOf(new BigInt64Array([-9223372036854775808n]));
    const tensor: Tensor = { datatype: "INT64", dims: [1], bytes };
    const { json } = written(one, undefined, one.allAsJson, [tensor]);
    expect(json).toContain('"data":[-9223372036854775808]');
  });

  test.each([
    ["another datatype", [{ ...y, datatype: "FP64" }]],
    ["bytes that do not fit the shape", [{ ...y, dims: [1, 3] }]],
    ["no outputs", []],
  ] as const)("a worker's answer with %s is a defect, not a response", (_what, tensors) => {
    expect(writeInferResponse(signature, undefined, signature.allAsJson, tensors)).toMatchObject({
      ok: false,
      error: { code: "INTERNAL" },
    });
  });

  test("strings whose lengths do not add up are a defect too", () => {
    const one = prepareSignature(single("BYTES", [1]));
    const tensor: Tensor = { datatype: "BYTES", dims: [1], bytes: new Uint8Array([9, 0, 0, 0]) };
    expect(writeInferResponse(one, undefined, one.allAsJson, [tensor]).ok).toBe(false);
  });
});

describe("documents", () => {
  const record = { name: "floats", active: 3, loaded: true, versions: { "3": floats } };

  test("the server lists its extensions as an array", () => {
    expect(serverMetadata("1.2.3")).toMatchObject({ name: "millrace", version: "1.2.3" });
    expect((serverMetadata("1") as { extensions: unknown }).extensions).toContain("statistics");
  });

  test("a model's metadata has versions as text and the batch dimension", () => {
    expect(modelMetadata(record, floats)).toEqual({
      name: "floats",
      versions: ["3"],
      platform: "onnxruntime_onnx",
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2, 3] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
    });
  });

  test("a model's configuration leaves the batch dimension out", () => {
    expect(modelConfig(floats)).toMatchObject({
      max_batch_size: 8,
      input: [{ name: "x", data_type: "TYPE_FP32", dims: [2, 3] }],
      dynamic_batching: {},
    });
    expect(modelConfig(single("BYTES", [-1, 2]))).toMatchObject({
      max_batch_size: 0,
      input: [{ name: "x", data_type: "TYPE_STRING", dims: [-1, 2] }],
    });
    expect(modelConfig(single("BYTES", [-1]))).not.toHaveProperty("dynamic_batching");
  });

  test("statistics are whole numbers in the fields that perf_analyzer needs", () => {
    const figure = { count: 2, us: 1.5 };
    const stats = modelStats([
      {
        name: "floats",
        version: 3,
        lastInferenceMs: 9,
        rows: 4,
        executions: 1.5,
        success: figure,
        failure: { count: 0, us: 0 },
        queue: figure,
        compute: figure,
        batches: new Map([[2, figure]]),
      },
    ]) as { model_stats: Record<string, unknown>[] };
    expect(stats.model_stats[0]).toMatchObject({
      name: "floats",
      version: "3",
      inference_count: 4,
      execution_count: 2,
      inference_stats: {
        success: { count: 2, ns: 1500 },
        fail: { count: 0, ns: 0 },
        queue: { count: 2, ns: 1500 },
        compute_input: { count: 0, ns: 0 },
        compute_infer: { count: 2, ns: 1500 },
        compute_output: { count: 0, ns: 0 },
        cache_hit: { count: 0, ns: 0 },
        cache_miss: { count: 0, ns: 0 },
      },
      batch_stats: [{ batch_size: 2, compute_infer: { count: 2, ns: 1500 } }],
    });
  });

  test("the index and the error form", () => {
    expect(repositoryIndex([{ name: "a", version: 1, ready: false, reason: "unloaded" }])).toEqual([
      { name: "a", version: "1", state: "UNAVAILABLE", reason: "unloaded" },
    ]);
    expect(errorDocument("INTERNAL", 'a "b"')).toBe('{"error":"a \\"b\\"","code":"INTERNAL"}');
  });
});
