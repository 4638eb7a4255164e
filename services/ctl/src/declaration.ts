/** What `model push` is told of a model: from the command line or a model.json, checked. */

import * as v from "valibot";
import {
  BATCH_ROWS_MAX,
  type Fault,
  fault,
  imageSchema,
  paddingSchema,
  type Padding,
  provenanceSchema,
  pushOptionsSchema,
  type TensorSpec,
} from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import { checkProvenance, type ModelDraft } from "@millrace/store";
import type { InspectedModel } from "@millrace/engine";
import { usageError } from "./failure.ts";
import type { ImageSpec } from "./image.ts";

/** Inputs that are not named are those of the signature that have the axis open. */
const paddingOptionSchema = v.object({
  ...paddingSchema.entries,
  inputs: v.optional(v.array(v.string()), []),
});
type PaddingOption = v.InferOutput<typeof paddingOptionSchema>;

/** `model.json`: what a model's file does not say itself. Unknown fields are refused. */
export const declarationSchema = v.strictObject({
  ...pushOptionsSchema.entries,
  /** The ONNX file, relative to this one. */
  file: v.optional(v.string(), "model.onnx"),
  // Checked by itself, so that what is missing is named in the words of the command line.
  provenance: v.partial(provenanceSchema),
  /** Default: what the file allows. */
  maxBatch: v.optional(pushOptionsSchema.entries.maxBatch),
  padding: v.optional(paddingOptionSchema),
});
export type Declaration = v.InferOutput<typeof declarationSchema>;

/** `AXIS:VALUE:MAX[:INPUTS][:OUTPUTS]`, inputs and outputs with commas; both may be empty. */
export function parsePadding(option: string): PaddingOption {
  const [axis, value, lengthMax, inputs = "", outputs = "", ...rest] = option.split(":");
  const padding = {
    axis: Number(axis),
    value: Number(value === "" ? NaN : value),
    lengthMax: Number(lengthMax),
    inputs: listOf(inputs),
    outputs: listOf(outputs),
  };
  const sound =
    Number.isSafeInteger(padding.axis) &&
    padding.axis >= 1 &&
    Number.isFinite(padding.value) &&
    Number.isSafeInteger(padding.lengthMax) &&
    padding.lengthMax >= 1;
  if (sound && rest.length === 0) return padding;
  throw usageError(`--pad ${option}`, "expected AXIS:VALUE:MAX[:INPUTS][:OUTPUTS], as in 1:0:96");
}

const listOf = (option: string): string[] =>
  option
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** `WIDTHxHEIGHTxCHANNELS[:LAYOUT[:SCALE[:OFFSET]]]`. */
export function parseImage(option: string): ImageSpec {
  const [size = "", layout = "NCHW", scale = "1", offset = "0", ...rest] = option.split(":");
  const [width, height, channels = "1", ...more] = size.split("x");
  const image = v.safeParse(imageSchema, {
    width: Number(width),
    height: Number(height),
    channels: Number(channels),
    layout: layout.toUpperCase(),
    scale: Number(scale),
    offset: Number(offset),
  });
  if (image.success && rest.length === 0 && more.length === 0) return image.output;
  throw usageError(
    `--image ${option}`,
    "expected WIDTHxHEIGHTxCHANNELS[:NCHW|NHWC[:SCALE[:OFFSET]]], as in 8x8x1 or 224x224x3:NHWC",
  );
}

export const parseLabels = listOf;

/**
 * The version to register: the declaration and the signature, which must not contradict each other.
 * Faults: PROVENANCE_MISSING, INVALID_REQUEST.
 */
export function makeDraft(
  declaration: Declaration,
  signature: InspectedModel,
  file: { readonly digest: string; readonly bytes: number; readonly createdAt: string },
): Result<ModelDraft, Fault> {
  const provenance = checkProvenance(declaration.provenance);
  if (!provenance.ok) return provenance;
  const maxBatch = batchOf(declaration, signature);
  if (!maxBatch.ok) return maxBatch;
  const padding = paddingOf(declaration, signature, maxBatch.value);
  if (!padding.ok) return padding;
  const { labels: names, image, text: tokenizer } = declaration;
  return ok({
    name: declaration.name,
    ...file,
    inputs: [...signature.inputs],
    outputs: [...signature.outputs],
    maxBatch: maxBatch.value,
    ...(padding.value === undefined ? {} : { padding: padding.value }),
    provenance: provenance.value,
    ...(names === undefined ? {} : { labels: names }),
    ...(image === undefined ? {} : { image }),
    ...(tokenizer === undefined ? {} : { text: tokenizer }),
  });
}

const invalid = (message: string): Result<never, Fault> => fail(fault("INVALID_REQUEST", message));

function batchOf(declaration: Declaration, signature: InspectedModel): Result<number, Fault> {
  const { maxBatch = signature.maxBatch } = declaration;
  if (maxBatch > BATCH_ROWS_MAX) return invalid(`max batch ${maxBatch}, at most ${BATCH_ROWS_MAX}`);
  if (maxBatch > 0 && signature.maxBatch === 0) {
    return invalid(`max batch ${maxBatch}, but the model's first dimensions are no batch`);
  }
  return ok(maxBatch);
}

function paddingOf(
  declaration: Declaration,
  signature: InspectedModel,
  maxBatch: number,
): Result<Padding | undefined, Fault> {
  const { padding } = declaration;
  if (padding === undefined) return ok(undefined);
  if (maxBatch === 0) return invalid("padding, but the model takes no batches");
  const { axis } = padding;
  const open = ({ shape }: TensorSpec): boolean => shape[axis] === -1;
  const inputs =
    padding.inputs.length > 0
      ? padding.inputs
      : signature.inputs.filter(open).map((input) => input.name);
  if (inputs.length === 0) return invalid(`padding: no input has an open dimension ${axis}`);
  for (const [tensors, names] of [
    [signature.inputs, inputs],
    [signature.outputs, padding.outputs],
  ] as const) {
    for (const padded of names) {
      const tensor = tensors.find((known) => known.name === padded);
      if (tensor === undefined) return invalid(`padding: the model has no ${padded}`);
      if (!open(tensor)) {
        const shape = tensor.shape.join(",");
        return invalid(`padding: ${padded} has the shape [${shape}], no open dimension ${axis}`);
      }
    }
  }
  return ok({ ...padding, inputs });
}
