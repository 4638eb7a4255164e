/**
 * Building ONNX models in code: graphs from nodes, tensors from arrays, attributes from values.
 * The result is plain records for `encodeModel`.
 */

import { assert, present } from "@millrace/std";
import { ELEMENT } from "./elements.ts";
import type {
  Integer,
  OnnxAttribute,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
} from "./model.ts";

/** IR 10 goes with operator set 21, which onnxruntime 1.20 and later read. */
export const IR_VERSION = 10;
export const OPSET_VERSION = 21;

const utf8 = new TextEncoder();

/** An attribute that has no name yet: `node` gives it the key it stands under. */
export type AttributeValue = Omit<OnnxAttribute, "name">;

/** Attribute values by kind; ONNX tells integers from floats, so the caller must. */
export const attribute = {
  float: (f: number): AttributeValue => ({ f, type: 1 }),
  int: (i: Integer): AttributeValue => ({ i, type: 2 }),
  text: (s: string): AttributeValue => ({ s: utf8.encode(s), type: 3 }),
  tensor: (t: OnnxTensor): AttributeValue => ({ t, type: 4 }),
  graph: (g: OnnxGraph): AttributeValue => ({ g, type: 5 }),
  floats: (floats: readonly number[]): AttributeValue => ({ floats, type: 6 }),
  ints: (ints: readonly Integer[]): AttributeValue => ({ ints, type: 7 }),
} as const;

/**
 * One operator. Its name comes from its first output, because onnxruntime refuses two nodes of the
 * same name and outputs are unique in a graph anyway.
 */
export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  domain?: string,
): OnnxNode {
  return {
    input,
    output,
    name: `${present(output[0], "a node's first output")}/${opType}`,
    opType,
    attribute: Object.entries(attributes).map(([name, value]) => ({ name, ...value })),
    ...(domain === undefined ? {} : { domain }),
  };
}

const rawBytes = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A tensor over the bytes of `data`, which must hold exactly the elements that `dims` say. */
export const rawTensor = (
  name: string,
  dims: readonly number[],
  dataType: number,
  data: ArrayBufferView,
): OnnxTensor => ({ name, dims, dataType, rawData: rawBytes(data) });

const checked = (dims: readonly number[], length: number): void => {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  assert(elements === length, `a tensor of [${dims.join(", ")}] was given ${length} elements`);
};

export function f32(
  name: string,
  dims: readonly number[],
  data: Float32Array | readonly number[],
): OnnxTensor {
  checked(dims, data.length);
  const floats = data instanceof Float32Array ? data : Float32Array.from(data);
  return rawTensor(name, dims, ELEMENT.FLOAT, floats);
}

export function i32(name: string, dims: readonly number[], data: readonly number[]): OnnxTensor {
  checked(dims, data.length);
  return rawTensor(name, dims, ELEMENT.INT32, Int32Array.from(data));
}

export function i64(name: string, dims: readonly number[], data: readonly Integer[]): OnnxTensor {
  checked(dims, data.length);
  return rawTensor(name, dims, ELEMENT.INT64, BigInt64Array.from(data, BigInt));
}

/** A graph input or output; a dimension is a size, or the name of one that the caller decides. */
export const valueInfo = (
  name: string,
  elemType: number,
  dims: readonly (number | string)[],
): OnnxValueInfo => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: {
        dim: dims.map((dim) => (typeof dim === "number" ? { dimValue: dim } : { dimParam: dim })),
      },
    },
  },
});

/** A model around a graph; it imports the operator sets that its top-level nodes name. */
export function model(
  graph: Pick<OnnxGraph, "node" | "input" | "output"> & Partial<OnnxGraph>,
  options: { readonly opset?: number; readonly metadata?: Readonly<Record<string, string>> } = {},
): OnnxModel {
  const others = new Set(graph.node.map(({ domain }) => domain ?? ""));
  others.delete("");
  return {
    irVersion: IR_VERSION,
    producerName: "millrace",
    graph: { name: "graph", initializer: [], ...graph },
    opsetImport: [
      { domain: "", version: options.opset ?? OPSET_VERSION },
      ...[...others].map((domain) => ({ domain, version: 1 })),
    ],
    metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
  };
}
