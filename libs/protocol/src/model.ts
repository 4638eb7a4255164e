/** What is known of a model: its signature, how it batches, and where it came from. */

import * as v from "valibot";
import { isName, NAME_RULE } from "@millrace/std";
import { BATCH_ROWS_MAX, TENSOR_RANK_MAX, TENSORS_MAX, VERSIONS_MAX } from "./limits.ts";
import { DATATYPES } from "./tensors.ts";

const nameSchema = v.pipe(v.string(), v.check(isName, `a name is ${NAME_RULE}`));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2_000));

export const tensorSpecSchema = v.object({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
  datatype: v.picklist(DATATYPES),
  /** -1 for a dimension that the request decides; the first is the batch where `maxBatch` > 0. */
  shape: v.pipe(
    v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(-1))),
    v.maxLength(TENSOR_RANK_MAX),
  ),
});
export type TensorSpec = v.InferOutput<typeof tensorSpecSchema>;

/** How inputs of variable length share a batch: each is filled with `value` along `axis`. */
export const paddingSchema = v.object({
  /** Counted with the batch dimension, so at least 1. */
  axis: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(TENSOR_RANK_MAX - 1)),
  /** The inputs that have this axis; all must have the same length along it in one request. */
  inputs: v.pipe(v.array(v.string()), v.minLength(1)),
  value: v.number(),
  /** Longest accepted input along the axis. */
  lengthMax: positive,
  /** Outputs that have the axis too and are cut back to the request's own length. */
  outputs: v.optional(v.array(v.string()), []),
});
export type Padding = v.InferOutput<typeof paddingSchema>;

export const provenanceSchema = v.object({
  /** Where the file or its training data came from: a URL, a data set, a training script. */
  source: text,
  /** The name the model has there, so that nobody serves somebody else's name unknowingly. */
  upstreamName: text,
  /** An SPDX identifier where there is one. */
  licence: text,
  notes: v.optional(v.string()),
});
export type Provenance = v.InferOutput<typeof provenanceSchema>;

/** How an image becomes this model's input, for `millrace infer --image`. */
export const imageSchema = v.object({
  width: positive,
  height: positive,
  channels: v.picklist([1, 3]),
  layout: v.picklist(["NCHW", "NHWC"]),
  /** Pixel 0..255 becomes (pixel / 255) * scale + offset. */
  scale: v.number(),
  offset: v.number(),
});

export const modelSpecSchema = v.object({
  name: nameSchema,
  version: v.pipe(positive, v.maxValue(VERSIONS_MAX)),
  /** Lower-case hex SHA-256 of the ONNX file. */
  digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  bytes: positive,
  inputs: v.pipe(v.array(tensorSpecSchema), v.minLength(1), v.maxLength(TENSORS_MAX)),
  outputs: v.pipe(v.array(tensorSpecSchema), v.minLength(1), v.maxLength(TENSORS_MAX)),
  /** Most rows in one run; 0 where the model has no batch dimension and runs one at a time. */
  maxBatch: v.pipe(count, v.maxValue(BATCH_ROWS_MAX)),
  padding: v.optional(paddingSchema),
  provenance: provenanceSchema,
  createdAt: v.string(),
  labels: v.optional(v.array(v.string())),
  image: v.optional(imageSchema),
  /** The tokenizer that makes the only input from a text, for `millrace infer --text`. */
  text: v.optional(v.picklist(["sms"])),
});
export type ModelSpec = v.InferOutput<typeof modelSpecSchema>;

/** What somebody who pushes a model has to say; the rest is read from the file. */
export const pushOptionsSchema = v.pick(modelSpecSchema, [
  "name",
  "maxBatch",
  "padding",
  "provenance",
  "labels",
  "image",
  "text",
]);
export type PushOptions = v.InferOutput<typeof pushOptionsSchema>;

/** A model in the registry: its versions, and which of them answers. */
export const modelRecordSchema = v.object({
  name: nameSchema,
  active: positive,
  /** What `rollback` returns to. */
  previous: v.optional(positive),
  /** False after `unload`: requests are refused until `load`. */
  loaded: v.boolean(),
  /** The highest version given so far: a number is not given twice, even after a removal. */
  latest: v.optional(positive),
  versions: v.record(v.string(), modelSpecSchema),
});
export type ModelRecord = v.InferOutput<typeof modelRecordSchema>;

/** The name of one version of a model in tickets, heartbeats and metrics: `digits@3`. */
export const modelRef = (name: string, version: number): string => `${name}@${version}`;

export function splitRef(ref: string): { readonly name: string; readonly version: number } {
  const at = ref.lastIndexOf("@");
  return { name: ref.slice(0, at), version: Number(ref.slice(at + 1)) };
}

/** Batch sizes that are warmed and timed: powers of two, and the limit itself. */
export function batchBuckets(maxBatch: number): readonly number[] {
  const buckets: number[] = [];
  for (let rows = 1; rows < maxBatch; rows *= 2) buckets.push(rows);
  buckets.push(Math.max(1, maxBatch));
  return buckets;
}
