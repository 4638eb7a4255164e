/**
 * onnxruntime for Node has no BF16 tensors, in or out. A model that has them gets FP32 at its
 * edges: a Cast behind each such input and before each such output. Both conversions are exact,
 * since the FP32 values are widened BF16.
 */

import {
  decodeModel,
  encodeModel,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValueInfo,
} from "@millrace/onnx";
import { type Fault, fault } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";

const FLOAT = 1;
const BFLOAT16 = 16;

/** Fails with MODEL_CORRUPT. Inputs and outputs keep their names. */
export function widenBfloats(file: Uint8Array): Result<Uint8Array, Fault> {
  const decoded = decodeModel(file);
  if (!decoded.ok) return decoded;
  const graph = decoded.value.graph;
  if (graph === undefined) return fail(fault("MODEL_CORRUPT", "the file has no graph"));
  const inputs = graph.input.filter(isBfloat).map(nameOf);
  const outputs = graph.output.filter(isBfloat).map(nameOf);
  const names = new Set([...inputs, ...outputs]);
  const widened: OnnxGraph = {
    ...graph,
    input: graph.input.map(asFloat),
    output: graph.output.map(asFloat),
    node: [
      ...inputs.map((name) => cast(name, inner(name), BFLOAT16)),
      ...graph.node.map((node) => renamed(node, names)),
      ...outputs.map((name) => cast(inner(name), name, FLOAT)),
    ],
  };
  return ok(encodeModel({ ...decoded.value, graph: widened }));
}

const nameOf = (value: OnnxValueInfo): string => value.name ?? "";
const inner = (name: string): string => `${name}/bf16`;
const isBfloat = (value: OnnxValueInfo): boolean => value.type?.tensorType?.elemType === BFLOAT16;

function asFloat(value: OnnxValueInfo): OnnxValueInfo {
  if (!isBfloat(value)) return value;
  return { ...value, type: { tensorType: { ...value.type?.tensorType, elemType: FLOAT } } };
}

const cast = (from: string, to: string, elemType: number): OnnxNode => ({
  opType: "Cast",
  name: `${to}/widen`,
  input: [from],
  output: [to],
  attribute: [{ name: "to", type: 2, i: elemType }],
});

/** The node with the edges' names changed, in its subgraphs too, which see the names outside. */
function renamed(node: OnnxNode, names: ReadonlySet<string>): OnnxNode {
  const rename = (name: string): string => (names.has(name) ? inner(name) : name);
  const within = (graph: OnnxGraph): OnnxGraph => ({
    ...graph,
    node: graph.node.map((nested) => renamed(nested, names)),
  });
  return {
    ...node,
    input: node.input.map(rename),
    output: node.output.map(rename),
    attribute: node.attribute.map((attribute) => ({
      ...attribute,
      ...(attribute.g === undefined ? {} : { g: within(attribute.g) }),
      ...(attribute.graphs === undefined ? {} : { graphs: attribute.graphs.map(within) }),
    })),
  };
}
