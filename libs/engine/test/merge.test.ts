/** Merging requests into batches and splitting batches into answers, without onnxruntime. */

import { decodeTensors, encodeTensors, type Tensor } from "@millrace/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elementCount, type Layout, layoutOf } from "../src/layout.ts";
import { elementPattern, mergeItems, roundedLength, roundedRows } from "../src/merge.ts";
import { splitOutputs } from "../src/split.ts";
import { readStrings, writeStrings } from "../src/strings.ts";
import { elements, floats, item, longs, tensor } from "./models.ts";

const dirty = (bytes: number): ArrayBuffer => new Uint8Array(bytes + 64).fill(0xee).buffer;

const layout = (maxBatch = 8): Layout =>
  layoutOf({
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
    maxBatch,
  });

const padded = layoutOf({
  inputs: [
    { name: "ids", datatype: "INT64", shape: [-1, -1] },
    { name: "words", datatype: "BYTES", shape: [-1, -1] },
  ],
  outputs: [
    { name: "y", datatype: "INT64", shape: [-1, -1] },
    { name: "w", datatype: "BYTES", shape: [-1, -1] },
  ],
  maxBatch: 8,
  padding: { axis: 1, inputs: ["ids", "words"], value: 7, lengthMax: 16, outputs: ["y", "w"] },
});

const words = (dims: readonly number[], texts: readonly string[]): Tensor => ({
  datatype: "BYTES",
  dims,
  bytes: writeStrings(texts),
});

function merged(of: Layout, items: Parameters<typeof mergeItems>[1], bucketed = false) {
  const result = mergeItems(of, items, bucketed, dirty);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function faultOf(of: Layout, items: Parameters<typeof mergeItems>[1]): string {
  const result = mergeItems(of, items, false, dirty);
  return result.ok ? "none" : result.error.code;
}

describe("merging", () => {
  test("rows of several items stand behind each other, wherever their bytes began", () => {
    const batch = merged(layout(), [
      item(1, [floats(1, [1, 2])]),
      item(2, [floats(2, [3, 4, 5, 6])]),
    ]);
    expect(batch.rows).toBe(3);
    expect(batch.inputs[0]?.dims).toEqual([3, 2]);
    expect([...new Float32Array(batch.slab, 0, 6)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...batch.items]).toEqual([1, 0, 2, 0]);
  });

  test("rows that round a batch up are zero, not what the slab held before (I2)", () => {
    const batch = merged(layout(), [item(3, [floats(3, [1, 2, 3, 4, 5, 6])])], true);
    expect(batch.rows).toBe(4);
    expect([...new Float32Array(batch.slab, 0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 0, 0]);
  });

  test("shorter items are padded with the declared value, strings with empty ones", () => {
    const items = [
      item(2, [longs([2, 1], [1, 2]), words([2, 1], ["a", "b"])], 1),
      item(1, [longs([1, 3], [3, 4, 5]), words([1, 3], ["c", "d", "e"])], 3),
    ];
    const batch = merged(padded, items);
    expect(batch.length).toBe(3);
    expect(batch.inputs.map(({ dims }) => dims)).toEqual([
      [3, 3],
      [3, 3],
    ]);
    expect([...new BigInt64Array(batch.slab, 0, 9)].map(Number)).toEqual([
      1, 7, 7, 2, 7, 7, 3, 4, 5,
    ]);
    expect(batch.inputs[1]?.strings).toEqual(["a", "", "", "b", "", "", "c", "d", "e"]);
  });

  test("where a new shape is expensive, rows and length are rounded up", () => {
    expect([1, 2, 3, 5, 12].map((rows) => roundedRows(rows, 12))).toEqual([1, 2, 4, 8, 12]);
    expect([0, 1, 9, 100, 128].map((length) => roundedLength(length, 120))).toEqual([
      0, 8, 16, 120, 120,
    ]);
    const batch = merged(
      padded,
      [item(1, [longs([1, 9], Array(9).fill(1)), words([1, 9], Array(9).fill("x"))], 9)],
      true,
    );
    expect(batch.inputs[0]?.dims).toEqual([1, 16]);
    expect(batch.inputs[1]?.strings).toHaveLength(16);
  });

  test("every element type begins at a place that it can be read from", () => {
    const mixed = layoutOf({
      inputs: [
        { name: "flag", datatype: "BOOL", shape: [-1] },
        { name: "wide", datatype: "FP64", shape: [-1, 1] },
      ],
      outputs: [],
      maxBatch: 4,
    });
    const batch = merged(mixed, [
      item(1, [
        tensor("BOOL", [1], Uint8Array.of(1)),
        tensor("FP64", [1, 1], Float64Array.of(2.5)),
      ]),
    ]);
    const at = batch.inputs[1]?.at ?? -1;
    expect(at % 8).toBe(0);
    expect(new Float64Array(batch.slab, at, 1)[0]).toBe(2.5);
  });

  test("a tensor that does not fit the signature is refused by name and code", () => {
    const good = item(1, [floats(1, [1, 2])]);
    expect(faultOf(layout(), [good])).toBe("none");
    expect(faultOf(layout(), [item(1, [longs([1, 2], [1, 2])])])).toBe("WRONG_DATATYPE");
    expect(faultOf(layout(), [item(1, [floats(1, [1, 2, 3])])])).toBe("WRONG_SHAPE");
    expect(faultOf(layout(), [item(2, [floats(1, [1, 2])])])).toBe("WRONG_SHAPE");
    expect(faultOf(layout(), [item(1, [tensor("FP32", [1, 2], new Uint8Array(7))])])).toBe(
      "WRONG_BYTE_COUNT",
    );
    expect(faultOf(layout(), [item(1, [])])).toBe("MISSING_INPUT");
    expect(faultOf(layout(), [item(1, [floats(1, [1, 2]), floats(1, [1, 2])])])).toBe(
      "UNKNOWN_INPUT",
    );
    expect(faultOf(layout(), [{ rows: 1, length: 0, body: Uint8Array.of(1, 99) }])).toBe(
      "TRUNCATED_BODY",
    );
  });

  test("a batch past the model's limit is refused (I3)", () => {
    const one = item(1, [floats(1, [1, 2])]);
    expect(faultOf(layout(2), [one, one])).toBe("none");
    expect(faultOf(layout(2), [one, one, one])).toBe("BATCH_TOO_LARGE");
  });

  test("a length out of range, and one that the tensor does not have, are refused", () => {
    const ids = (length: number, declared: number) =>
      item(
        1,
        [longs([1, length], Array(length).fill(1)), words([1, length], Array(length).fill(""))],
        declared,
      );
    expect(faultOf(padded, [ids(17, 17)])).toBe("WRONG_SHAPE");
    expect(faultOf(padded, [ids(3, 2)])).toBe("WRONG_SHAPE");
    expect(faultOf(padded, [ids(0, 0)])).toBe("WRONG_SHAPE");
  });

  test("items of different open dimensions do not share a batch", () => {
    const open = layoutOf({
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, -1] }],
      outputs: [],
      maxBatch: 8,
    });
    const items = [item(1, [floats(1, [1, 2])]), item(1, [floats(1, [1, 2, 3])])];
    expect(faultOf(open, items)).toBe("EXECUTION_FAILED");
    expect(faultOf(open, items.slice(1))).toBe("none");
  });

  test("a padding value takes the bits of its datatype", () => {
    expect([...elementPattern("FP16", 1)]).toEqual([0x00, 0x3c]);
    expect([...elementPattern("BF16", 1)]).toEqual([0x80, 0x3f]);
    expect([...elementPattern("INT8", -1)]).toEqual([0xff]);
    expect([...elementPattern("FP32", 0.5)]).toEqual([0, 0, 0, 0x3f]);
    expect([...elementPattern("INT64", 2)]).toEqual([2, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe("strings", () => {
  test("any text survives the wire", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"))),
        (texts) => {
          expect(readStrings(writeStrings(texts), texts.length)).toEqual({
            ok: true,
            value: texts,
          });
        },
      ),
    );
  });

  test("bytes that are short, too many, not UTF-8 or zero are refused", () => {
    const code = (bytes: Uint8Array, count: number): string => {
      const read = readStrings(bytes, count);
      return read.ok ? "none" : read.error.code;
    };
    expect(code(Uint8Array.of(2, 0, 0, 0, 65), 1)).toBe("WRONG_BYTE_COUNT");
    expect(code(Uint8Array.of(2, 0), 1)).toBe("WRONG_BYTE_COUNT");
    expect(code(writeStrings(["a", "b"]), 1)).toBe("WRONG_BYTE_COUNT");
    expect(code(Uint8Array.of(1, 0, 0, 0, 0xff), 1)).toBe("WRONG_VALUE");
    expect(code(writeStrings(["a\0b"]), 1)).toBe("WRONG_VALUE");
  });
});

describe("splitting", () => {
  const split = (of: Layout, dims: readonly number[], values: readonly number[], items: number[]) =>
    splitOutputs(
      of,
      [{ dims, data: new Uint8Array(Float32Array.from(values).buffer) }],
      { rows: 4, length: 0 },
      Int32Array.from(items),
    );

  test("each item gets its own rows, and rows that rounded the batch up go to nobody (I2)", () => {
    const result = split(layout(), [4, 2], [1, 2, 3, 4, 5, 6, 99, 99], [1, 0, 2, 0]);
    if (!result.ok) throw new Error(result.error.message);
    const { bytes, ends } = result.value;
    const bodies = [bytes.subarray(0, ends[0]), bytes.subarray(ends[0], ends[1])];
    expect(ends[1]).toBe(bytes.length);
    expect(bodies[0]).toEqual(encodeTensors([floats(1, [1, 2])]));
    expect(bodies[1]).toEqual(encodeTensors([floats(2, [3, 4, 5, 6])]));
  });

  test("an output without the batch's rows is an execution failure that names it", () => {
    for (const dims of [[2, 4], [], [1, 8]]) {
      const result = split(layout(), dims, [1, 2, 3, 4, 5, 6, 7, 8], [4, 0]);
      expect(result).toMatchObject({ ok: false, error: { code: "EXECUTION_FAILED" } });
      if (!result.ok) expect(result.error.message).toContain("output y");
    }
  });

  test("an output that was declared to have the padded axis and does not is named too", () => {
    const outputs = [
      { dims: [1, 3], data: new Uint8Array(24) },
      { dims: [1, 4], data: ["a", "b", "c", "d"] },
    ];
    const result = splitOutputs(padded, outputs, { rows: 1, length: 4 }, Int32Array.of(1, 2));
    expect(result.ok ? "" : result.error.message).toContain("output y");
  });

  test("a model without a batch gives each output as it is", () => {
    const result = split(layout(0), [1, 3], [1, 2, 3], [1, 0]);
    expect(result.ok && result.value.bytes).toEqual(encodeTensors([floats(1, [1, 2, 3])]));
  });

  test("outputs larger than a body may be are refused", () => {
    const data = new Uint8Array(65 * 1024 * 1024);
    const dims = [1, data.length / 4];
    const result = splitOutputs(
      layout(0),
      [{ dims, data }],
      { rows: 1, length: 0 },
      Int32Array.of(1, 0),
    );
    expect(result).toMatchObject({ ok: false, error: { code: "OUTPUT_TOO_LARGE" } });
  });
});

test("whatever is merged comes back to whom it belongs, cut to its own length (I2)", () => {
  const shape = fc.record({
    rows: fc.integer({ min: 1, max: 3 }),
    length: fc.integer({ min: 1, max: 16 }),
  });
  const shapes = fc
    .array(shape, { minLength: 1, maxLength: 6 })
    .filter((items) => items.reduce((sum, { rows }) => sum + rows, 0) <= 8);
  fc.assert(
    fc.property(shapes, fc.boolean(), (items, bucketed) => {
      let next = 1;
      const bodies = items.map(({ rows, length }) => {
        const ids = Array.from({ length: rows * length }, () => next++);
        return [longs([rows, length], ids), words([rows, length], ids.map(String))];
      });
      const batch = merged(
        padded,
        items.map(({ rows, length }, at) => item(rows, bodies[at] ?? [], length)),
        bucketed,
      );
      const outputs = batch.inputs.map(({ dims, at, strings }) => ({
        dims,
        data: strings ?? new Uint8Array(batch.slab, at, elementCount(dims) * 8),
      }));
      const result = splitOutputs(padded, outputs, batch, batch.items);
      if (!result.ok) throw new Error(result.error.message);
      let from = 0;
      for (const [at, end] of result.value.ends.entries()) {
        const decoded = decodeTensors(result.value.bytes.subarray(from, end));
        if (!decoded.ok) throw new Error(decoded.error.message);
        const [ids, texts] = decoded.value;
        expect(elements(ids as Tensor)).toEqual(elements(bodies[at]?.[0] as Tensor));
        expect(texts?.bytes).toEqual(bodies[at]?.[1]?.bytes);
        from = end;
      }
    }),
  );
});
