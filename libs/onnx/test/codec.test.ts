/** The codec: what is written can be read, and what is read is written back byte for byte. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeModel, encodeModel, type OnnxModel } from "../src/index.ts";
import { concat, field, richModel } from "./samples.ts";

function decoded(file: Uint8Array): OnnxModel {
  const result = decodeModel(file);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

describe("the codec", () => {
  test("a built model comes back byte for byte", () => {
    const file = encodeModel(richModel());
    expect(encodeModel(decoded(file))).toEqual(file);
  });

  test("names, attributes and numbers survive", () => {
    const { graph, metadataProps, opsetImport } = decoded(encodeModel(richModel()));
    expect(graph?.node.map(({ opType }) => opType)).toEqual(["Gemm", "Gelu", "If", "Slice", "Add"]);
    expect(graph?.node[0]?.attribute[0]).toMatchObject({ name: "alpha", f: 0.5, type: 1 });
    expect(graph?.node[2]?.attribute[1]?.g?.node[0]?.opType).toBe("Constant");
    expect(graph?.initializer[1]?.floatData).toEqual([0.25, -1, 3]);
    expect(metadataProps).toMatchObject([{ key: "note", value: "grüße" }]);
    expect(opsetImport).toMatchObject([
      { domain: "", version: 21 },
      { domain: "com.microsoft", version: 1 },
    ]);
  });

  test("integers past 2^53 keep every bit", () => {
    const { graph } = decoded(encodeModel(richModel()));
    expect(graph?.initializer[3]?.int64Data).toEqual([9223372036854775807n]);
  });

  test("fields that the schema does not name stay where they stood", () => {
    const file = concat(
      [0x08, 10], // irVersion
      field(7, field(2, [...Buffer.from("g")]), field(9, [1, 2, 3]), field(10, [0x41])),
      [0x4d, 1, 2, 3, 4], // number 9, fixed32
      [0x51, 1, 2, 3, 4, 5, 6, 7, 8], // number 10, fixed64
      [0x98, 0x06, 0x96, 0x01], // number 99, varint
    );
    const model = decoded(file);
    expect(model.unknownFields?.map(({ number }) => number)).toEqual([9, 10, 99]);
    expect(model.graph?.unknownFields).toHaveLength(1);
    expect(encodeModel(model)).toEqual(file);
  });

  test("repeated numbers keep the packed or the unpacked form in which they came", () => {
    const tensor = (dims: readonly number[]) => concat([0x08, 10], field(7, field(5, dims)));
    const unpacked = tensor([0x08, 2, 0x08, 3]);
    const packed = tensor([0x0a, 2, 2, 3]);
    for (const file of [unpacked, packed]) {
      const model = decoded(file);
      expect(model.graph?.initializer[0]?.dims).toEqual([2, 3]);
      expect(encodeModel(model)).toEqual(file);
    }
  });

  test("a field given twice, bad UTF-8 and endless nesting are refused", () => {
    const twice = decodeModel(concat([0x08, 10], [0x08, 11]));
    expect(twice).toMatchObject({ ok: false, error: { code: "MODEL_CORRUPT" } });
    const text = decodeModel(field(2, [0xff, 0xfe]));
    expect(text).toMatchObject({ ok: false, error: { code: "MODEL_CORRUPT" } });
    let graph: Uint8Array = new Uint8Array();
    for (let depth = 0; depth < 60; depth++) graph = field(1, field(5, field(6, graph)));
    expect(decodeModel(field(7, graph))).toMatchObject({
      ok: false,
      error: { code: "MODEL_CORRUPT" },
    });
  });

  test("integers of any size round trip", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const file = encodeModel({ opsetImport: [], modelVersion: value });
        expect(BigInt(decoded(file).modelVersion ?? 0)).toBe(value);
        expect(encodeModel(decoded(file))).toEqual(file);
      }),
    );
  });

  test("decoding damaged bytes never throws", () => {
    const valid = encodeModel(richModel());
    fc.assert(
      fc.property(
        fc.nat(valid.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(valid.length),
        (at, flip, length) => {
          const file = valid.slice(0, length);
          if (at < length) file[at] = (file[at] as number) ^ flip;
          const result = decodeModel(file);
          if (!result.ok) expect(result.error.code).toBe("MODEL_CORRUPT");
        },
      ),
      { numRuns: 500 },
    );
  });
});
