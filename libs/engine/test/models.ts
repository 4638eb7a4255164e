/** Small models for the tests, and the specs that go with them. */

import {
  attribute,
  ELEMENT,
  ELEMENT_TYPES,
  encodeModel,
  f32,
  i64,
  model,
  node,
  type OnnxNode,
  type OnnxTensor,
  valueInfo,
} from "@millrace/onnx";
import {
  type Datatype,
  ELEMENT_BYTES,
  encodeTensors,
  type ModelSpec,
  type Tensor,
} from "@millrace/protocol";

export interface TestModel {
  readonly spec: ModelSpec;
  /** A fresh copy of the file each time: loading takes it. */
  readonly file: () => Uint8Array;
}

type Parts = Partial<ModelSpec> & Pick<ModelSpec, "name" | "inputs" | "outputs">;

export function testModel(parts: Parts, file: Uint8Array): TestModel {
  const spec: ModelSpec = {
    version: 1,
    digest: parts.name.replace(/[^0-9a-f]/g, "0").padEnd(64, "0"),
    bytes: file.length,
    maxBatch: 8,
    provenance: { source: "test", upstreamName: "test", licence: "Apache-2.0" },
    createdAt: "2026-01-01T00:00:00Z",
    ...parts,
  };
  return { spec, file: () => file.slice() };
}

/** The number of a datatype in ONNX. */
export function elementType(datatype: Datatype): number {
  for (const [number, type] of ELEMENT_TYPES) if (type.datatype === datatype) return number;
  throw new TypeError(`ONNX has no ${datatype}`);
}

/** A file with FP32 `x` and `y` of `[N, ...shape]` around the nodes given. */
export function floatFile(
  nodes: readonly OnnxNode[],
  initializer: readonly OnnxTensor[] = [],
  shape: readonly (number | string)[] = [4],
): Uint8Array {
  return encodeModel(
    model({
      node: nodes,
      initializer,
      input: [valueInfo("x", ELEMENT.FLOAT, ["N", ...shape])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["N", ...shape])],
    }),
  );
}

const edges = (datatype: Datatype, shape: readonly number[]) => ({
  inputs: [{ name: "x", datatype, shape: [...shape] }],
  outputs: [{ name: "y", datatype, shape: [...shape] }],
});

/** y = x + [1, 2, 3, 4] over rows of four FP32. */
export const addModel = (name = "add", maxBatch = 8): TestModel =>
  testModel(
    { name, maxBatch, ...edges("FP32", maxBatch === 0 ? [-1, 4] : [-1, 4]) },
    floatFile([node("Add", ["x", "c"], ["y"])], [f32("c", [4], [1, 2, 3, 4])]),
  );

/** y = x for any datatype, over rows of three. */
export function identityModel(datatype: Datatype): TestModel {
  const type = elementType(datatype);
  const file = encodeModel(
    model({
      node: [node("Identity", ["x"], ["y"])],
      input: [valueInfo("x", type, ["N", 3])],
      output: [valueInfo("y", type, ["N", 3])],
    }),
  );
  return testModel(
    { name: `identity-${datatype.toLowerCase()}`, ...edges(datatype, [-1, 3]) },
    file,
  );
}

/** y = x over INT64 token ids of any length up to 16, padded with 7, and their sum per row. */
export function paddedModel(): TestModel {
  const file = encodeModel(
    model({
      node: [
        node("Identity", ["x"], ["y"]),
        node("ReduceSum", ["x", "axes"], ["sum"], { keepdims: attribute.int(0) }),
      ],
      initializer: [i64("axes", [1], [1])],
      input: [valueInfo("x", ELEMENT.INT64, ["N", "L"])],
      output: [valueInfo("y", ELEMENT.INT64, ["N", "L"]), valueInfo("sum", ELEMENT.INT64, ["N"])],
    }),
  );
  return testModel(
    {
      name: "padded",
      inputs: [{ name: "x", datatype: "INT64", shape: [-1, -1] }],
      outputs: [
        { name: "y", datatype: "INT64", shape: [-1, -1] },
        { name: "sum", datatype: "INT64", shape: [-1] },
      ],
      padding: { axis: 1, inputs: ["x"], value: 7, lengthMax: 16, outputs: ["y"] },
    },
    file,
  );
}

/** y = table[x] over a table of four floats: an index outside of it fails the run. */
export const gatherModel = (): TestModel =>
  testModel(
    {
      name: "gather",
      inputs: [{ name: "x", datatype: "INT64", shape: [-1] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1] }],
    },
    encodeModel(
      model({
        node: [node("Gather", ["table", "x"], ["y"])],
        initializer: [f32("table", [4], [10, 20, 30, 40])],
        input: [valueInfo("x", ELEMENT.INT64, ["N"])],
        output: [valueInfo("y", ELEMENT.FLOAT, ["N"])],
      }),
    ),
  );

/** As {@link gatherModel} by an operator that no GPU checks: a wrong index reads anywhere. */
export const gatherNdModel = (): TestModel =>
  testModel(
    {
      name: "gather-nd",
      inputs: [{ name: "x", datatype: "INT64", shape: [-1, 1] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1] }],
    },
    encodeModel(
      model({
        node: [node("GatherND", ["table", "x"], ["y"])],
        initializer: [f32("table", [4], [10, 20, 30, 40])],
        input: [valueInfo("x", ELEMENT.INT64, ["N", 1])],
        output: [valueInfo("y", ELEMENT.FLOAT, ["N"])],
      }),
    ),
  );

/** A multilayer perceptron of the given widths, whose weights differ by `spread`, if at all. */
export function perceptron(
  name: string,
  widths: readonly number[],
  maxBatch = 8,
  spread = 0,
): TestModel {
  const nodes: OnnxNode[] = [];
  const weights: OnnxTensor[] = [];
  for (let at = 0; at + 1 < widths.length; at++) {
    const [rows, columns] = [widths[at] as number, widths[at + 1] as number];
    const values = new Float32Array(rows * columns).fill(1 / rows);
    if (spread > 0) values.forEach((value, i) => (values[i] = value * (1 + spread * Math.sin(i))));
    weights.push(f32(`w${at}`, [rows, columns], values));
    const last = at + 2 === widths.length;
    nodes.push(node("MatMul", [at === 0 ? "x" : `r${at - 1}`, `w${at}`], [last ? "y" : `h${at}`]));
    if (!last) nodes.push(node("Relu", [`h${at}`], [`r${at}`]));
  }
  const [first, last] = [widths[0] as number, widths.at(-1) as number];
  const file = encodeModel(
    model({
      node: nodes,
      initializer: weights,
      input: [valueInfo("x", ELEMENT.FLOAT, ["N", first])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["N", last])],
    }),
  );
  return testModel(
    {
      name,
      maxBatch,
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, first] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1, last] }],
    },
    file,
  );
}

export const tensor = (
  datatype: Datatype,
  dims: readonly number[],
  data: ArrayBufferView,
): Tensor => ({
  datatype,
  dims,
  bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

export const floats = (rows: number, values: readonly number[]): Tensor =>
  tensor("FP32", [rows, values.length / rows], Float32Array.from(values));

export const longs = (dims: readonly number[], values: readonly number[]): Tensor =>
  tensor("INT64", dims, BigInt64Array.from(values, BigInt));

/** A body at an odd place of a larger buffer, as one from a network frame would be. */
export function unaligned(tensors: readonly Tensor[]): Uint8Array {
  const body = encodeTensors(tensors);
  const frame = new Uint8Array(body.length + 8);
  frame.set(body, 3);
  return frame.subarray(3, 3 + body.length);
}

export const item = (rows: number, tensors: readonly Tensor[], length = 0) => ({
  rows,
  length,
  body: unaligned(tensors),
});

/** The elements of a tensor of numbers; BF16 and FP16 as their bits. */
export function elements({ datatype, bytes }: Tensor): number[] {
  const arrays: Partial<Record<Datatype, new (buffer: ArrayBuffer) => ArrayLike<number | bigint>>> =
    {
      UINT8: Uint8Array,
      BOOL: Uint8Array,
      INT8: Int8Array,
      UINT16: Uint16Array,
      INT16: Int16Array,
      FP16: Uint16Array,
      BF16: Uint16Array,
      UINT32: Uint32Array,
      INT32: Int32Array,
      UINT64: BigUint64Array,
      INT64: BigInt64Array,
      FP32: Float32Array,
      FP64: Float64Array,
    };
  const array = arrays[datatype];
  if (array === undefined) throw new TypeError(`${datatype} has no numbers`);
  const size = ELEMENT_BYTES[datatype];
  return Array.from({ length: bytes.length / size }, (_, at) =>
    Number(new array(bytes.slice(at * size, (at + 1) * size).buffer)[0]),
  );
}
