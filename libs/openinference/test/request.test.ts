/** What a request may look like, and what is read from it. */

import { describe, expect, test } from "vitest";
import type { ModelSpec } from "@millrace/protocol";
import { readHeaderLength } from "../src/index.ts";
import { accepted, binaryBody, bytesOf, floats, json, single, tokens } from "./fixtures.ts";

const row = [0, 1, 2, 3, 4, 5];

describe("JSON", () => {
  test("flat data is read row by row", () => {
    const request = accepted(
      floats,
      json({ id: "a", inputs: [{ name: "x", datatype: "FP32", shape: [1, 2, 3], data: row }] }),
    );
    expect(request).toMatchObject({ id: "a", rows: 1, length: 0, shapeKey: 0, tier: 1 });
    expect(request.timeoutUs).toBe(0);
    expect(request.tensors).toEqual([
      { datatype: "FP32", dims: [1, 2, 3], bytes: bytesOf(new Float32Array(row)) },
    ]);
  });

  test("nested data is the same as flat data", () => {
    const nested = [
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
      [
        [6, 7, 8],
        [9, 10, 11],
      ],
    ];
    const inputs = (data: unknown) => ({
      inputs: [{ name: "x", datatype: "FP32", shape: [2, 2, 3], data }],
    });
    const one = accepted(floats, json(inputs(nested)));
    const two = accepted(floats, json(inputs(nested.flat(2))));
    expect(one.rows).toBe(2);
    expect(one.tensors).toEqual(two.tensors);
  });

  test("a header that covers the whole body is JSON too, whatever the C++ client calls it", () => {
    const body = json({
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 2, 3], data: row, parameters: {} }],
    });
    expect(accepted(floats, body, body.length).rows).toBe(1);
  });

  test("strings become a length and their UTF-8 bytes", () => {
    const body = json({
      inputs: [{ name: "x", datatype: "BYTES", shape: [2], data: ["", "ü"] }],
    });
    expect(accepted(single("BYTES", [-1]), body).tensors[0]?.bytes).toEqual(
      new Uint8Array([0, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xbc]),
    );
  });

  test("the names of what JSON cannot write are floats", () => {
    const body = json({
      inputs: [{ name: "x", datatype: "FP64", shape: [3], data: ["NaN", "Infinity", "-Infinity"] }],
    });
    expect(accepted(single("FP64", [3]), body).tensors[0]?.bytes).toEqual(
      bytesOf(new Float64Array([NaN, Infinity, -Infinity])),
    );
  });

  test.each([
    ["BOOL", [true, false], new Uint8Array([1, 0])],
    ["UINT8", [0, 255], new Uint8Array([0, 255])],
    ["INT8", [-128, 127], new Int8Array([-128, 127])],
    ["UINT16", [0, 65535], new Uint16Array([0, 65535])],
    ["INT16", [-32768, 32767], new Int16Array([-32768, 32767])],
    ["UINT32", [0, 4294967295], new Uint32Array([0, 4294967295])],
    ["INT32", [-2147483648, 2147483647], new Int32Array([-2147483648, 2147483647])],
    ["INT64", [-9007199254740991, 5], new BigInt64Array([-9007199254740991n, 5n])],
    ["UINT64", [0, 9007199254740991], new BigUint64Array([0n, 9007199254740991n])],
    ["FP32", [0.5, -3.4e38], new Float32Array([0.5, -3.4e38])],
  ] as const)("%s takes its whole range", (datatype, data, expected) => {
    const body = json({ inputs: [{ name: "x", datatype, shape: [2], data }] });
    expect(accepted(single(datatype, [2]), body).tensors[0]?.bytes).toEqual(bytesOf(expected));
  });
});

describe("binary data", () => {
  const ids = bytesOf(new BigInt64Array([1n, 2n, 3n]));
  const mask = new Uint8Array([1, 1, 0]);
  const extra = new Uint8Array([1, 2, 3, 4]);
  const input = (name: string, datatype: string, shape: number[], bytes: Uint8Array) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: bytes.length },
  });

  test("tensors stand in the order of the signature and are views into the body", () => {
    const { body, headerBytes } = binaryBody(
      {
        inputs: [
          input("extra", "UINT8", [1, 2, 2], extra),
          input("mask", "BOOL", [1, 3], mask),
          input("ids", "INT64", [1, 3], ids),
        ],
        parameters: { binary_data_output: true, priority: 1, timeout: 5000 },
      },
      extra,
      mask,
      ids,
    );
    const request = accepted(tokens, body, headerBytes);
    expect(request.tensors.map((tensor) => [...tensor.bytes])).toEqual([
      [...ids],
      [...mask],
      [...extra],
    ]);
    expect(request.tensors.every((tensor) => tensor.bytes.buffer === body.buffer)).toBe(true);
    expect(request).toMatchObject({ rows: 1, length: 3, tier: 0, timeoutUs: 5000 });
    expect(request.outputs.map((output) => output.binary)).toEqual([true, true]);
  });

  test("an input as JSON may stand beside one as binary data", () => {
    const { body, headerBytes } = binaryBody(
      {
        inputs: [
          { name: "ids", datatype: "INT64", shape: [1, 3], data: [1, 2, 3] },
          input("mask", "BOOL", [1, 3], mask),
          {
            name: "extra",
            datatype: "UINT8",
            shape: [1, 2, 2],
            data: [
              [
                [1, 2],
                [3, 4],
              ],
            ],
          },
        ],
        parameters: { binary_data_output: true },
      },
      mask,
    );
    expect([...(accepted(tokens, body, headerBytes).tensors[1]?.bytes ?? [])]).toEqual([1, 1, 0]);
  });

  test("NaN and infinities are values", () => {
    const bytes = bytesOf(new Float32Array([NaN, Infinity, -Infinity, 0, 0, 0]));
    const { body, headerBytes } = binaryBody(
      { inputs: [input("x", "FP32", [1, 2, 3], bytes)] },
      bytes,
    );
    expect(accepted(floats, body, headerBytes).tensors[0]?.bytes).toEqual(bytes);
  });
});

describe("the raw form", () => {
  const raw = (spec: ModelSpec, body: Uint8Array) => accepted(spec, body, 0);

  test("the bytes decide the batch where nothing else is open", () => {
    const request = raw(floats, new Uint8Array(72));
    expect(request.tensors[0]?.dims).toEqual([3, 2, 3]);
    expect(request.rows).toBe(3);
    expect(request.outputs[0]?.binary).toBe(true);
  });

  test("the bytes decide the open dimension of one row", () => {
    expect(raw(single("INT32", [-1, -1], 4), new Uint8Array(20)).tensors[0]?.dims).toEqual([1, 5]);
  });

  test("text is one element, and its length is not in the body", () => {
    const request = raw(single("BYTES", [-1, 1], 4), new Uint8Array([104, 105]));
    expect(request.tensors[0]).toEqual({
      datatype: "BYTES",
      dims: [1, 1],
      bytes: new Uint8Array([2, 0, 0, 0, 104, 105]),
    });
  });
});

describe("parameters", () => {
  const withParameters = (parameters: unknown, outputs?: unknown) =>
    accepted(
      floats,
      json({
        inputs: [{ name: "x", datatype: "FP32", shape: [1, 2, 3], data: row }],
        parameters,
        outputs,
      }),
    );

  test.each([
    [0, 1],
    [1, 0],
    [2, 1],
    [3, 2],
    ["realtime", 0],
    ["standard", 1],
    ["batch", 2],
  ])("priority %s is tier %i", (priority, tier) => {
    expect(withParameters({ priority }).tier).toBe(tier);
  });

  test("an output's own form wins over the request's", () => {
    const outputs = [{ name: "y", parameters: { binary_data: false } }];
    expect(withParameters({ binary_data_output: true }, outputs).outputs[0]?.binary).toBe(false);
    expect(withParameters({ binary_data_output: true }, [{ name: "y" }]).outputs[0]?.binary).toBe(
      true,
    );
  });

  test("an empty list of outputs is all of them", () => {
    expect(withParameters({}, []).outputs.map((output) => output.slot.name)).toEqual(["y"]);
  });

  test("parameters of other servers are passed over, no sequence among them", () => {
    expect(withParameters({ sequence_id: 0, mood: "good" }).rows).toBe(1);
  });
});

describe("what decides about batching", () => {
  const request = (length: number, others: number) =>
    accepted(
      tokens,
      json({
        inputs: [
          { name: "ids", datatype: "INT64", shape: [1, length], data: Array(length).fill(1) },
          { name: "mask", datatype: "BOOL", shape: [1, length], data: Array(length).fill(true) },
          {
            name: "extra",
            datatype: "UINT8",
            shape: [1, others, 2],
            data: Array(2 * others).fill(0),
          },
        ],
        parameters: { binary_data_output: true },
      }),
    );

  test("lengths along the padded axis share a key, other free dimensions do not", () => {
    expect(request(3, 1).shapeKey).toBe(request(9, 1).shapeKey);
    expect(request(3, 1).shapeKey).not.toBe(request(3, 2).shapeKey);
    expect(request(3, 1).length).toBe(3);
  });
});

test("the header is a number of bytes or absent", () => {
  expect(readHeaderLength(undefined)).toEqual({ ok: true, value: undefined });
  expect(readHeaderLength("0")).toEqual({ ok: true, value: 0 });
  expect(readHeaderLength("123")).toEqual({ ok: true, value: 123 });
  for (const bad of ["", "-1", "1.5", " 1", "1 ", "0x10", "1e3", "99999999999"]) {
    expect(readHeaderLength(bad)).toMatchObject({ ok: false, error: { code: "INVALID_REQUEST" } });
  }
});
