/** For any tensors: JSON and binary data say the same, and nothing a client sends is a crash. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Datatype, ELEMENT_BYTES } from "@millrace/protocol";
import { parseInferRequest, prepareSignature, writeInferResponse } from "../src/index.ts";
import { accepted, binaryBody, floats, json, single, tokens } from "./fixtures.ts";

const numeric = fc.constantFrom<Datatype>(
  "UINT8",
  "UINT16",
  "UINT32",
  "INT8",
  "INT16",
  "INT32",
  "FP32",
  "FP64",
);

const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });

/** A shape, and bytes that fill it. */
const tensors = fc.tuple(numeric, shape).chain(([datatype, dims]) => {
  const size = dims.reduce((product, dim) => product * dim, ELEMENT_BYTES[datatype]);
  return fc.record({
    datatype: fc.constant(datatype),
    dims: fc.constant(dims),
    bytes: fc.uint8Array({ minLength: size, maxLength: size }),
  });
});

function nest(flat: readonly unknown[], dims: readonly number[]): unknown {
  const [, ...inner] = dims;
  if (inner.length === 0) return flat;
  const each = inner.reduce((product, dim) => product * dim, 1);
  return Array.from({ length: flat.length / each }, (_, at) =>
    nest(flat.slice(at * each, (at + 1) * each), inner),
  );
}

/** NaN has many bit patterns and JSON one name. */
const sameText = (datatype: Datatype, a: Uint8Array, b: Uint8Array): void => {
  const view = (bytes: Uint8Array): readonly number[] | Uint8Array => {
    if (datatype === "FP32") return [...new Float32Array(bytes.slice().buffer)];
    return datatype === "FP64" ? [...new Float64Array(bytes.slice().buffer)] : bytes;
  };
  expect(view(a)).toEqual(view(b));
};

describe("round trips", () => {
  test("what a response says in JSON, a request may say in JSON, flat or nested", () => {
    fc.assert(
      fc.property(tensors, ({ datatype, dims, bytes }) => {
        const signature = prepareSignature(single(datatype, dims));
        const response = writeInferResponse(signature, undefined, signature.allAsJson, [
          { datatype, dims, bytes },
        ]);
        if (!response.ok) throw new Error(response.error.message);
        const { data } = JSON.parse(response.value.json).outputs[0];
        // -0 is written as 0: the difference is not one of value.
        if (data.includes(0)) return;
        for (const form of [data, nest(data, dims)]) {
          const body = json({ inputs: [{ name: "x", datatype, shape: dims, data: form }] });
          const request = accepted(single(datatype, dims), body);
          sameText(datatype, request.tensors[0]?.bytes ?? new Uint8Array(), bytes);
        }
      }),
    );
  });

  test("binary data arrives as it was sent", () => {
    fc.assert(
      fc.property(tensors, ({ datatype, dims, bytes }) => {
        const { body, headerBytes } = binaryBody(
          {
            inputs: [
              { name: "x", datatype, shape: dims, parameters: { binary_data_size: bytes.length } },
            ],
          },
          bytes,
        );
        const request = accepted(single(datatype, dims), body, headerBytes);
        expect(request.tensors[0]).toEqual({ datatype, dims, bytes });
      }),
    );
  });

  test("any text survives both ways", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }),
        (texts) => {
          const whole = texts.map((text) => text.toWellFormed());
          const spec = single("BYTES", [whole.length]);
          const input = { name: "x", datatype: "BYTES", shape: [whole.length], data: whole };
          const { tensors: read } = accepted(spec, json({ inputs: [input] }));
          const signature = prepareSignature(spec);
          const response = writeInferResponse(signature, undefined, signature.allAsJson, read);
          if (!response.ok) throw new Error(response.error.message);
          expect(JSON.parse(response.value.json).outputs[0].data).toEqual(whole);
        },
      ),
    );
  });
});

describe("no input is a crash", () => {
  const specs = [floats, tokens, single("BYTES", [-1, -1], 2), single("FP16", [])];
  const header = fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined });

  const check = (body: Uint8Array, headerBytes: number | undefined): void => {
    for (const spec of specs) {
      const result = parseInferRequest(prepareSignature(spec), body, headerBytes);
      if (!result.ok) expect(result.error.message.length).toBeLessThan(400);
      else expect(result.value.rows).toBeLessThanOrEqual(Math.max(1, spec.maxBatch));
    }
  };

  test("random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), header, check));
  });

  test("random JSON", () => {
    fc.assert(fc.property(fc.jsonValue(), header, (value, bytes) => check(json(value), bytes)));
  });

  test("requests with anything in any field", () => {
    const anything = fc.jsonValue({ maxDepth: 2 });
    const input = fc.record(
      {
        name: fc.oneof(fc.constantFrom("x", "ids", "mask"), anything),
        datatype: fc.oneof(fc.constantFrom("FP32", "INT64", "BYTES"), anything),
        shape: fc.oneof(fc.array(fc.integer({ min: -2, max: 5 }), { maxLength: 4 }), anything),
        data: anything,
        parameters: anything,
      },
      { requiredKeys: [] },
    );
    const request = fc.record(
      {
        id: anything,
        inputs: fc.oneof(fc.array(input, { maxLength: 3 }), anything),
        outputs: anything,
        parameters: anything,
      },
      { requiredKeys: [] },
    );
    fc.assert(fc.property(request, header, (value, bytes) => check(json(value), bytes)));
  });
});
