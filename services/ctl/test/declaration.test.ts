/** What a push is told: options, model.json, and what contradicts the file's signature. */

import * as v from "valibot";
import { describe, expect, test } from "vitest";
import {
  type Declaration,
  declarationSchema,
  makeDraft,
  parseImage,
  parseLabels,
  parsePadding,
} from "../src/declaration.ts";
import { declare } from "../src/model-push.ts";

const SIGNATURE = {
  inputs: [
    { name: "ids", datatype: "INT64", shape: [-1, -1] },
    { name: "flag", datatype: "FP32", shape: [-1, 2] },
  ],
  outputs: [{ name: "scores", datatype: "FP32", shape: [-1, -1] }],
  maxBatch: 32,
} as const;
const FILE = { digest: "0".repeat(64), bytes: 9, createdAt: "2026-01-01T00:00:00.000Z" };
const PROVENANCE = { source: "s", upstreamName: "u", licence: "MIT" };

const signature = (change: object = {}): Parameters<typeof makeDraft>[1] =>
  ({ ...SIGNATURE, ...change }) as never;
const declaration = (change: Partial<Declaration> = {}): Declaration => ({
  name: "m",
  file: "m.onnx",
  provenance: PROVENANCE,
  ...change,
});

describe("options", () => {
  test("padding names its axis, value, limit, inputs and outputs", () => {
    expect(parsePadding("1:0:96")).toEqual({
      axis: 1,
      value: 0,
      lengthMax: 96,
      inputs: [],
      outputs: [],
    });
    expect(parsePadding("2:-1.5:10:a,b:c")).toMatchObject({
      axis: 2,
      value: -1.5,
      inputs: ["a", "b"],
      outputs: ["c"],
    });
  });

  test.each(["", "1", "1:0", "0:0:9", "1::9", "1:0:0", "1:x:9", "1:0:9:a:b:c", "1.5:0:9"])(
    "padding %j is refused",
    (option) => {
      expect(() => parsePadding(option)).toThrow(/--pad/);
    },
  );

  test("an image names its size, layout, scale and offset", () => {
    expect(parseImage("8x6x1")).toEqual({
      width: 8,
      height: 6,
      channels: 1,
      layout: "NCHW",
      scale: 1,
      offset: 0,
    });
    expect(parseImage("8x6x3:nhwc:-16:16")).toMatchObject({
      channels: 3,
      layout: "NHWC",
      scale: -16,
      offset: 16,
    });
  });

  test.each([
    "",
    "8",
    "8x8x2",
    "8x8x1:HWC",
    "8x8x1x1",
    "0x8x1",
    "8x8x1:NCHW:a",
    "8x8x1:NCHW:1:0:0",
  ])("image %j is refused", (option) => {
    expect(() => parseImage(option)).toThrow(/--image/);
  });

  test("labels stand between commas", () => {
    expect(parseLabels("a, b,,c")).toEqual(["a", "b", "c"]);
  });

  test("options win over model.json, provenance field by field", () => {
    const declared = v.parse(declarationSchema, {
      name: "m",
      maxBatch: 4,
      provenance: { source: "file", licence: "MIT" },
    });
    const both = declare("other.onnx", declared, {
      name: "n",
      source: "option",
      upstreamName: "u",
      maxBatch: "8",
      labels: "a,b",
    });
    expect(both).toEqual({
      name: "n",
      file: "other.onnx",
      maxBatch: 8,
      labels: ["a", "b"],
      provenance: { source: "option", upstreamName: "u", licence: "MIT" },
    });
  });

  test("a file and a name are needed, and a name must be one", () => {
    expect(() => declare(undefined, undefined, { name: "m" })).toThrow(/no ONNX file/);
    expect(() => declare("a.onnx", undefined, {})).toThrow(/no name/);
    expect(() => declare("a.onnx", undefined, { name: "a b" })).toThrow(/is no name/);
    expect(() => declare("a.onnx", undefined, { name: "a", maxBatch: "x" })).toThrow(/--max-batch/);
  });

  test("model.json takes no unknown field, so that a misspelt one is seen", () => {
    const misspelt = { name: "m", provenance: PROVENANCE, paddding: {} };
    expect(v.safeParse(declarationSchema, misspelt).success).toBe(false);
  });
});

describe("the version that is registered", () => {
  test("takes what is not said from the file", () => {
    expect(makeDraft(declaration(), signature(), FILE)).toEqual({
      ok: true,
      value: { name: "m", ...FILE, ...SIGNATURE, provenance: PROVENANCE },
    });
  });

  test("finds the padded inputs by their open dimension", () => {
    const draft = makeDraft(
      declaration({ padding: parsePadding("1:0:96::scores") }),
      signature(),
      FILE,
    );
    expect(draft).toMatchObject({
      ok: true,
      value: { padding: { inputs: ["ids"], outputs: ["scores"] } },
    });
  });

  test("is refused without provenance, naming what is missing", () => {
    expect(
      makeDraft(declaration({ provenance: { source: "s" } }), signature(), FILE),
    ).toMatchObject({
      error: {
        code: "PROVENANCE_MISSING",
        message: expect.stringMatching(/upstream name.*licence/),
      },
    });
  });

  test.each([
    ["more rows than any batch", { maxBatch: 5000 }, {}, /at most 1024/],
    ["a batch that the file has not", { maxBatch: 4 }, { maxBatch: 0 }, /no batch/],
    ["padding without batches", { padding: parsePadding("1:0:9") }, { maxBatch: 0 }, /no batches/],
    ["padding of a fixed axis", { padding: parsePadding("1:0:9:flag") }, {}, /no open dimension/],
    ["padding of no input", { padding: parsePadding("1:0:9:nope") }, {}, /has no nope/],
    ["padding along no axis", { padding: parsePadding("3:0:9") }, {}, /no input has an open/],
  ] as const)("is refused for %s", (_what, change, changed, message) => {
    expect(makeDraft(declaration(change), signature(changed), FILE)).toMatchObject({
      ok: false,
      error: { code: "INVALID_REQUEST", message: expect.stringMatching(message) },
    });
  });
});
