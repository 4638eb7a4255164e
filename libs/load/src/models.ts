/**
 * Models for drills: answers differ for every input, and cost little. `drill-lookup` fails on the
 * device for an index that is beyond its table, which no check of shapes finds.
 */

import { BENCH_MODELS, type BenchModel, benchModel } from "@millrace/examples";
import { attribute, ELEMENT, encodeModel, f32, i64, model, node, valueInfo } from "@millrace/onnx";
import { seededRandom } from "@millrace/std";

export const LOOKUP = "drill-lookup";
const WORDS = 1_000;
const WIDTH = 16;
const LENGTH = 8;

/** Undefined where the name is none of a drill's own models. */
export function drillModel(name: string): BenchModel | undefined {
  if (name === LOOKUP) return lookup();
  const known = BENCH_MODELS.find((one) => one === name);
  return known === undefined ? undefined : benchModel(known);
}

/** Input `ids` INT64 [batch, 8] of 0..999; `y` FP32 [batch, 16], the mean of their vectors. */
function lookup(): BenchModel {
  const random = seededRandom(1);
  const vectors = Float32Array.from({ length: WORDS * WIDTH }, () => 2 * random.next() - 1);
  const file = encodeModel(
    model({
      name: LOOKUP,
      node: [
        node("Gather", ["vectors", "ids"], ["rows"]),
        node("ReduceMean", ["rows", "token_axis"], ["y"], { keepdims: attribute.int(0) }),
      ],
      initializer: [f32("vectors", [WORDS, WIDTH], vectors), i64("token_axis", [1], [1])],
      input: [valueInfo("ids", ELEMENT.INT64, ["batch", LENGTH])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["batch", WIDTH])],
    }),
  );
  const provenance = {
    source: "built by libs/load with random weights",
    upstreamName: `millrace ${LOOKUP}`,
    licence: "Apache-2.0",
  };
  return { name: LOOKUP, file, options: { name: LOOKUP, maxBatch: 64, provenance } };
}
