/**
 * Models for the benchmark, built in code with random weights: what they compute means nothing,
 * what it costs does. Sizes are per row.
 */

import {
  attribute,
  ELEMENT,
  encodeModel,
  f32,
  i64,
  model,
  node,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  valueInfo,
} from "@millrace/onnx";
import type { PushOptions } from "@millrace/protocol";
import { type Random, seededRandom } from "@millrace/std";

export interface BenchModel {
  readonly name: string;
  /** The ONNX file. */
  readonly file: Uint8Array;
  readonly options: PushOptions;
}

export const BENCH_MODELS = ["tiny", "mlp10m", "encoder1g", "echo600k"] as const;
export type BenchModelName = (typeof BENCH_MODELS)[number];

/** The encoder's shape: 2 layers over 256 tokens, 0.94 GFLOP for 7 MB of weights. */
const LENGTH = 256;
const WIDTH = 256;
const HEADS = 4;
const LAYERS = 2;
const WORDS = 1_000;
/** 600 KB of FP32. */
const ECHO_ELEMENTS = 150_000;

const optionsOf = (name: BenchModelName, maxBatch: number): PushOptions => ({
  name,
  maxBatch,
  provenance: {
    source: "built by libs/examples with random weights",
    upstreamName: `millrace ${name}`,
    licence: "Apache-2.0",
  },
});

/** All four, in the order of {@link BENCH_MODELS}. Building takes some 100 ms and 30 MB. */
export const benchModels = (): readonly BenchModel[] => BENCH_MODELS.map(benchModel);

export function benchModel(name: BenchModelName): BenchModel {
  const random = seededRandom(1);
  switch (name) {
    case "tiny":
      return built(name, 64, perceptron([64, 64], random));
    case "mlp10m":
      // 2 (512 * 1536 + 1536 * 2304 + 2304 * 256) = 9.8 MFLOP
      return built(name, 64, perceptron([512, 1536, 2304, 256], random));
    case "encoder1g":
      return built(name, 16, encoder(random));
    case "echo600k":
      return built(name, 8, echo());
  }
}

const built = (name: BenchModelName, maxBatch: number, onnx: OnnxModel): BenchModel => ({
  name,
  file: encodeModel(onnx),
  options: optionsOf(name, maxBatch),
});

/** Uniform with the variance 1 / fanIn, so that activations neither vanish nor grow. */
const weights = (random: Random, dims: readonly [number, number]): Float32Array => {
  const bound = Math.sqrt(3 / dims[0]);
  const values = new Float32Array(dims[0] * dims[1]);
  for (let at = 0; at < values.length; at++) values[at] = (2 * random.next() - 1) * bound;
  return values;
};

/** Input `x` FP32 [batch, first width], output `y` FP32 [batch, last width]. */
function perceptron(widths: readonly number[], random: Random): OnnxModel {
  const nodes: OnnxNode[] = [];
  const initializer: OnnxTensor[] = [];
  const last = widths.length - 2;
  let input = "x";
  for (let layer = 0; layer <= last; layer++) {
    const dims = [widths[layer] as number, widths[layer + 1] as number] as const;
    const output = layer === last ? "y" : `sum${layer}`;
    initializer.push(f32(`weights${layer}`, dims, weights(random, dims)));
    initializer.push(f32(`bias${layer}`, [dims[1]], new Float32Array(dims[1])));
    nodes.push(node("Gemm", [input, `weights${layer}`, `bias${layer}`], [output]));
    if (layer < last) nodes.push(node("Relu", [output], [`active${layer}`]));
    input = `active${layer}`;
  }
  return model({
    name: "perceptron",
    node: nodes,
    initializer,
    input: [valueInfo("x", ELEMENT.FLOAT, ["batch", widths[0] as number])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", widths.at(-1) as number])],
  });
}

/** Input `ids` INT64 [batch, 256] of 0..999, output `y` FP32 [batch, 256], the mean over tokens. */
function encoder(random: Random): OnnxModel {
  const nodes: OnnxNode[] = [node("Gather", ["vectors", "ids"], ["layer0"])];
  const initializer: OnnxTensor[] = [
    f32("vectors", [WORDS, WIDTH], weights(random, [WORDS, WIDTH])),
    f32("gain", [WIDTH], new Float32Array(WIDTH).fill(1)),
    f32("offset", [WIDTH], new Float32Array(WIDTH)),
    f32("scale", [], [1 / Math.sqrt(WIDTH / HEADS)]),
    i64("split", [4], [0, 0, HEADS, WIDTH / HEADS]),
    i64("merged", [3], [0, 0, WIDTH]),
    i64("token_axis", [1], [1]),
  ];
  for (let layer = 0; layer < LAYERS; layer++) {
    const { dense, nodes: own } = denseLayers(`layer${layer}.`, random, initializer);
    nodes.push(...attention(`layer${layer}`, dense, own));
  }
  const reduced = { keepdims: attribute.int(0) };
  nodes.push(node("ReduceMean", [`layer${LAYERS}`, "token_axis"], ["y"], reduced));
  return model({
    name: "encoder",
    node: nodes,
    initializer,
    input: [valueInfo("ids", ELEMENT.INT64, ["batch", LENGTH])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", WIDTH])],
  });
}

type Dense = (input: string, output: string, from: number, to: number) => string;

/** Adds products with new weights to `nodes`; `dense` returns the full name of its output. */
function denseLayers(
  prefix: string,
  random: Random,
  initializer: OnnxTensor[],
): { readonly dense: Dense; readonly nodes: OnnxNode[] } {
  const nodes: OnnxNode[] = [];
  const dense: Dense = (input, output, from, to) => {
    const name = prefix + output;
    initializer.push(f32(`${name}.weights`, [from, to], weights(random, [from, to])));
    nodes.push(node("MatMul", [input, `${name}.weights`], [name]));
    return name;
  };
  return { dense, nodes };
}

/** One layer with the normalisation first (Xiong et al. 2020): attention, then the wide product. */
function attention(input: string, dense: Dense, nodes: OnnxNode[]): OnnxNode[] {
  const own = (name: string): string => `${input}.${name}`;
  const add = (
    op: string,
    from: readonly string[],
    to: string,
    axes?: readonly number[],
  ): string => {
    const attributes = axes === undefined ? {} : { perm: attribute.ints(axes) };
    nodes.push(node(op, from, [own(to)], attributes));
    return own(to);
  };
  const normalised = add("LayerNormalization", [input, "gain", "offset"], "normalised");
  const heads = ["query", "key", "value"].map((name) => {
    const split = add("Reshape", [dense(normalised, name, WIDTH, WIDTH), "split"], `${name}.split`);
    return add("Transpose", [split], `${name}.heads`, name === "key" ? [0, 2, 3, 1] : [0, 2, 1, 3]);
  });
  const [query, key, value] = heads as [string, string, string];
  const scores = add("Mul", [add("MatMul", [query, key], "scores"), "scale"], "scaled");
  const mixed = add("MatMul", [add("Softmax", [scores], "shares"), value], "mixed");
  const merged = add(
    "Reshape",
    [add("Transpose", [mixed], "turned", [0, 2, 1, 3]), "merged"],
    "flat",
  );
  const seen = add("Add", [input, dense(merged, "projected", WIDTH, WIDTH)], "seen");
  const again = add("LayerNormalization", [seen, "gain", "offset"], "again");
  const wide = add("Gelu", [dense(again, "wide", WIDTH, 4 * WIDTH)], "active");
  const next = `layer${Number(input.slice("layer".length)) + 1}`;
  nodes.push(node("Add", [seen, dense(wide, "narrow", 4 * WIDTH, WIDTH)], [next]));
  return nodes;
}

/** Input `x` FP32 [batch, 150000], output `y` FP32 [batch, 1]: its mean. */
const echo = (): OnnxModel =>
  model({
    name: "echo",
    node: [node("ReduceMean", ["x", "second_axis"], ["y"], { keepdims: attribute.int(1) })],
    initializer: [i64("second_axis", [1], [1])],
    input: [valueInfo("x", ELEMENT.FLOAT, ["batch", ECHO_ELEMENTS])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 1])],
  });
