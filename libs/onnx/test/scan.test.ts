/** The scan: what it tells of a good model, and what it refuses and why. */

import { describe, expect, test } from "vitest";
import {
  attribute,
  ELEMENT,
  encodeModel,
  f32,
  model,
  node,
  type OnnxGraph,
  SCAN_LIMITS,
  scanModel,
  valueInfo,
} from "../src/index.ts";
import { concat, field, richModel, withInitializers } from "./samples.ts";

const refusal = (file: Uint8Array, limits = SCAN_LIMITS): string => {
  const result = scanModel(file, limits);
  return result.ok ? "accepted" : `${result.error.code}: ${result.error.message}`;
};

const four = Float32Array.of(1, 2, 3, 4);

describe("a good model", () => {
  test("tells its signature, operators and weights", () => {
    const result = scanModel(encodeModel(richModel()));
    if (!result.ok) throw new Error(result.error.message);
    expect(result.value).toEqual({
      irVersion: 10,
      opset: 21,
      producer: "millrace",
      inputs: [
        { name: "x", elementType: 1, datatype: "FP32", dims: ["batch", 4] },
        { name: "flag", elementType: 9, datatype: "BOOL", dims: [] },
      ],
      outputs: [{ name: "y", elementType: 1, datatype: "FP32", dims: ["batch", 3] }],
      operators: new Map([
        ["Gemm", 1],
        ["com.microsoft.Gelu", 1],
        ["Constant", 2],
        ["If", 1],
        ["Slice", 1],
        ["Add", 1],
      ]),
      nodes: 7,
      initializers: 5,
      parameters: 12 + 3 + 1 + 1 + 2 + 2,
      weightBytes: 48 + 12 + 8 + 8 + 8 + 8,
    });
  });

  test("that lists its initializers as inputs, as IR 3 did, asks only for the rest", () => {
    const file = encodeModel(
      model({
        node: [node("Add", ["x", "w"], ["y"])],
        initializer: [f32("w", [4], four)],
        input: [valueInfo("w", ELEMENT.FLOAT, [4]), valueInfo("x", ELEMENT.FLOAT, ["batch", 4])],
        output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 4])],
      }),
    );
    const result = scanModel(file);
    expect(result.ok && result.value.inputs.map(({ name }) => name)).toEqual(["x"]);
  });
});

describe("bytes that are no model", () => {
  test("are refused as corrupt", () => {
    expect(refusal(new Uint8Array())).toMatch(/^MODEL_CORRUPT: this is no ONNX file/);
    expect(refusal(Buffer.from("<!doctype html><html>"))).toMatch(/^MODEL_CORRUPT/);
    expect(refusal(Buffer.from("PK\u0003\u0004\u0014\u0000"))).toMatch(/^MODEL_CORRUPT/);
    expect(refusal(new Uint8Array(1000).fill(0xff))).toMatch(/^MODEL_CORRUPT/);
  });

  test("a truncated varint, one of too many bytes, and one of too many bits say so", () => {
    expect(refusal(Uint8Array.of(0x08, 0x80))).toContain("the file ends inside a varint");
    const many = concat(
      [0x08],
      Array.from({ length: 11 }, () => 0x80),
      [0],
    );
    expect(refusal(many)).toContain("more than 64 bits");
    const wide = concat(
      [0x08],
      Array.from({ length: 9 }, () => 0xff),
      [2],
    );
    expect(refusal(wide)).toContain("more than 64 bits");
  });

  test("a length past the end says how much is left", () => {
    expect(refusal(Uint8Array.of(0x3a, 0x7f, 1, 2))).toContain("2 bytes are left");
    const huge = concat(
      [0x3a],
      Array.from({ length: 9 }, () => 0xff),
      [1],
    );
    expect(refusal(huge)).toContain("runs past the end");
  });

  test("groups and field number 0 are refused", () => {
    expect(refusal(Uint8Array.of(0x0b))).toContain("wire type 3");
    expect(refusal(Uint8Array.of(0x02, 0))).toContain("field number");
  });

  test("a missing graph, opset, operator, input or output is named", () => {
    const input = [valueInfo("x", ELEMENT.FLOAT, [1])];
    const output = [valueInfo("y", ELEMENT.FLOAT, [1])];
    const nodes = [node("Identity", ["x"], ["y"])];
    const whole = model({ node: nodes, input, output });
    const { graph: _, ...noGraph } = whole;
    expect(refusal(encodeModel(noGraph))).toContain("no graph");
    expect(refusal(encodeModel({ ...whole, opsetImport: [] }))).toContain("operator set version");
    expect(refusal(encodeModel(model({ node: nodes, input: [], output })))).toContain("no inputs");
    expect(refusal(encodeModel(model({ node: nodes, input, output: [] })))).toContain("no outputs");
    const nameless = [{ input: ["x"], output: ["y"], attribute: [] }];
    expect(refusal(encodeModel(model({ node: nameless, input, output })))).toContain("no operator");
    const twice = concat(encodeModel(whole), encodeModel(whole));
    expect(refusal(twice)).toContain("two graphs");
  });
});

describe("tensors", () => {
  test("must have exactly the bytes of their dimensions", () => {
    expect(
      refusal(withInitializers({ name: "w", dims: [5], dataType: 1, rawData: new Uint8Array(16) })),
    ).toBe('MODEL_CORRUPT: initializer "w": float [5] has 16 bytes, expected 20');
    const short = { name: "w", dims: [3], dataType: 1, floatData: [1, 2] };
    expect(refusal(withInitializers(short))).toContain("has 2 entries, expected 3 as float");
    const other = { name: "w", dims: [2], dataType: 7, floatData: [1, 2] };
    expect(refusal(withInitializers(other))).toContain("expected 2 as int64");
    expect(refusal(withInitializers({ ...f32("w", [4], four), floatData: [1] }))).toContain(
      "twice",
    );
  });

  test("of half-byte elements round up", () => {
    const nibbles = { name: "w", dims: [3], dataType: 22, rawData: new Uint8Array(2) };
    expect(refusal(withInitializers(nibbles))).toBe("accepted");
    const typed = { name: "w", dims: [3], dataType: 21, int32Data: [0x21, 3] };
    expect(refusal(withInitializers(typed))).toBe("accepted");
  });

  test("whose dimensions overflow, are negative or too many are refused", () => {
    const rawData = new Uint8Array(16);
    const wide = { name: "w", dims: [2 ** 32, 2 ** 32, 4], dataType: 1, rawData };
    expect(refusal(withInitializers(wide))).toContain("does not fit into the file");
    const wraps = { name: "w", dims: [2n ** 62n, 4n, 4], dataType: 1, rawData };
    expect(refusal(withInitializers(wraps))).toContain("does not fit into the file");
    const empty = { name: "w", dims: [1 << 30], dataType: 1 };
    expect(refusal(withInitializers(empty))).toContain("does not fit into the file");
    const negative = { name: "w", dims: [-4], dataType: 1, rawData };
    expect(refusal(withInitializers(negative))).toContain("dimension -4");
    const deep = { name: "w", dims: Array.from({ length: 33 }, () => 1), dataType: 1, rawData };
    expect(refusal(withInitializers(deep))).toContain("more than 32 dimensions");
  });

  test("of unknown element types are refused", () => {
    expect(refusal(withInitializers({ name: "w", dims: [1], dataType: 99 }))).toMatch(
      /^MODEL_UNSUPPORTED: initializer "w" has element type 99/,
    );
  });
});

describe("data outside the file is refused", () => {
  const external = {
    name: "w",
    dims: [4],
    dataType: 1,
    externalData: [{ key: "location", value: "/etc/passwd" }],
    dataLocation: 1,
  };
  const expected = /^MODEL_UNSUPPORTED: .*keeps its data outside the file/;
  const input = [valueInfo("x", ELEMENT.FLOAT, [4])];
  const output = [valueInfo("y", ELEMENT.FLOAT, [4])];
  const graphOf = (parts: Partial<OnnxGraph>): OnnxGraph => ({
    name: "g",
    node: [],
    initializer: [],
    input,
    output,
    ...parts,
  });

  test("in an initializer, by location or by flag alone", () => {
    expect(refusal(withInitializers(external))).toMatch(expected);
    expect(
      refusal(withInitializers({ name: "w", dims: [4], dataType: 1, dataLocation: 1 })),
    ).toMatch(expected);
  });

  test("in an attribute", () => {
    const constant = node("Constant", [], ["y"], { value: attribute.tensor(external) });
    expect(refusal(encodeModel(model(graphOf({ node: [constant] }))))).toMatch(expected);
  });

  test("in a subgraph", () => {
    const branch = attribute.graph(graphOf({ initializer: [external] }));
    const choice = node("If", ["x"], ["y"], { then_branch: branch });
    expect(refusal(encodeModel(model(graphOf({ node: [choice] }))))).toMatch(expected);
  });

  test("in the values or indices of a sparse tensor", () => {
    const indices = { name: "i", dims: [0], dataType: 7 };
    for (const sparse of [{ values: external }, { indices: external }]) {
      const top = graphOf({ sparseInitializer: [{ indices, dims: [4], ...sparse }] });
      expect(refusal(encodeModel(model(top)))).toMatch(expected);
      const value = { sparseTensor: sparse, type: 11 };
      const constant = node("Constant", [], ["y"], { sparse_value: value });
      expect(refusal(encodeModel(model(graphOf({ node: [constant] }))))).toMatch(expected);
    }
  });

  test("and a sparse tensor that is large when made dense is too large", () => {
    const values = f32("s", [1], [1]);
    const top = graphOf({ sparseInitializer: [{ values, dims: [2 ** 40] }] });
    expect(refusal(encodeModel(model(top)))).toMatch(/^MODEL_TOO_LARGE: .*made dense/);
  });
});

describe("what onnxruntime does not carry is refused", () => {
  test("operators of other domains, functions and training steps", () => {
    const graph = {
      node: [node("Secret", ["x"], ["y"], {}, "org.example")],
      input: [valueInfo("x", ELEMENT.FLOAT, [1])],
      output: [valueInfo("y", ELEMENT.FLOAT, [1])],
    };
    expect(refusal(encodeModel(model(graph)))).toMatch(
      /^MODEL_UNSUPPORTED: operator "Secret" is of domain "org.example"/,
    );
    const valid = encodeModel(richModel());
    expect(refusal(concat(valid, field(25, [])))).toMatch(/^MODEL_UNSUPPORTED: .*functions/);
    expect(refusal(concat(valid, field(20, [])))).toMatch(/^MODEL_UNSUPPORTED: .*training/);
  });

  test("inputs that are no tensors, and tensors of too many dimensions", () => {
    const io = (input: Parameters<typeof model>[0]["input"][number]): Uint8Array =>
      encodeModel(
        model({
          node: [node("Identity", ["x"], ["y"])],
          input: [input],
          output: [valueInfo("y", ELEMENT.FLOAT, [1])],
        }),
      );
    expect(refusal(io({ name: "x", type: {} }))).toMatch(
      /^MODEL_UNSUPPORTED: input "x" is no tensor/,
    );
    const nine = Array.from({ length: 9 }, () => 1);
    expect(refusal(io(valueInfo("x", ELEMENT.FLOAT, nine)))).toContain("more than 8 dimensions");
    expect(refusal(io(valueInfo("", ELEMENT.FLOAT, [1])))).toContain("name of 0 characters");
  });
});

describe("limits", () => {
  test("on bytes, nodes, initializers and depth are named", () => {
    const file = encodeModel(richModel());
    const within = (limits: Partial<typeof SCAN_LIMITS>): string =>
      refusal(file, { ...SCAN_LIMITS, ...limits });
    expect(within({ bytesMax: 100 })).toMatch(/^MODEL_TOO_LARGE: the file has .* at most 100 B/);
    expect(within({ nodesMax: 6 })).toBe("MODEL_TOO_LARGE: the graph has more than 6 nodes");
    expect(within({ initializersMax: 4 })).toContain("more than 4 initializers");
    expect(within({ subgraphDepthMax: 0 })).toMatch(/^MODEL_UNSUPPORTED: subgraphs are nested/);
    expect(within({ nodesMax: 7, initializersMax: 5, subgraphDepthMax: 1 })).toBe("accepted");
  });
});
