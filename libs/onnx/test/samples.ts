/** Models for the tests: one that uses everything the codec knows, and hand-made protobuf. */

import {
  attribute,
  ELEMENT,
  encodeModel,
  f32,
  i32,
  i64,
  model,
  node,
  type OnnxGraph,
  type OnnxModel,
  type OnnxTensor,
  valueInfo,
} from "../src/index.ts";

/** Two inputs, a subgraph, tensors as raw and as typed data, a Microsoft operator. */
export function richModel(): OnnxModel {
  const branch = (value: number): OnnxGraph => ({
    name: "branch",
    node: [node("Constant", [], [`c${value}`], { value: attribute.tensor(f32("", [1], [value])) })],
    initializer: [],
    input: [],
    output: [valueInfo(`c${value}`, ELEMENT.FLOAT, [1])],
  });
  return model(
    {
      node: [
        node("Gemm", ["x", "w", "b"], ["h"], { alpha: attribute.float(0.5) }),
        node("Gelu", ["h"], ["g"], {}, "com.microsoft"),
        node("If", ["flag"], ["bias"], {
          then_branch: attribute.graph(branch(1)),
          else_branch: attribute.graph(branch(2)),
        }),
        node("Slice", ["g", "from", "to"], ["s"]),
        node("Add", ["s", "bias"], ["y"]),
      ],
      initializer: [
        f32(
          "w",
          [4, 3],
          Float32Array.from({ length: 12 }, (_, at) => at / 8),
        ),
        { name: "b", dims: [3], dataType: ELEMENT.FLOAT, floatData: [0.25, -1, 3] },
        i64("from", [1], [0]),
        { name: "to", dims: [1], dataType: ELEMENT.INT64, int64Data: [9223372036854775807n] },
        i32("unused", [2], [-1, 7]),
      ],
      input: [valueInfo("x", ELEMENT.FLOAT, ["batch", 4]), valueInfo("flag", ELEMENT.BOOL, [])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 3])],
    },
    { metadata: { note: "grüße" } },
  );
}

/** A model with one Identity node and the given initializers. */
export const withInitializers = (...initializer: readonly OnnxTensor[]): Uint8Array =>
  encodeModel(
    model({
      node: [node("Identity", ["x"], ["y"])],
      initializer,
      input: [valueInfo("x", ELEMENT.FLOAT, ["batch", 4])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 4])],
    }),
  );

export const concat = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))];

/** A length-delimited field, made by hand. */
export const field = (
  number: number,
  ...body: readonly (Uint8Array | readonly number[])[]
): Uint8Array => {
  const bytes = concat(...body);
  return concat(varint(number * 8 + 2), varint(bytes.length), bytes);
};
