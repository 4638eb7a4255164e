/** The body of an inference request from what the command line gives. */

import * as v from "valibot";
import {
  type Datatype,
  DATATYPES,
  ELEMENT_BYTES,
  modelSpecSchema,
  type Priority,
  tensorSpecSchema,
  type TensorSpec,
} from "@millrace/protocol";
import { CommandError, usageError } from "./failure.ts";
import { decodePng, layOut, packImage, resize } from "./image.ts";

/** What the ingress says of a model; `labels`, `image` and `text` where its record has them. */
export const metadataSchema = v.object({
  name: v.string(),
  inputs: v.array(tensorSpecSchema),
  outputs: v.array(tensorSpecSchema),
  ...v.pick(modelSpecSchema, ["labels", "image", "text"]).entries,
});
export type Metadata = v.InferOutput<typeof metadataSchema>;

export interface RawTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface InferBody {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** As the Open Inference Protocol has them; the timeout in microseconds. */
export interface InferParameters {
  readonly priority?: Priority;
  readonly timeout?: number;
}

const encoder = new TextEncoder();

export const jsonBody = (request: object, parameters: InferParameters): InferBody => ({
  body: encoder.encode(JSON.stringify(withParameters(request, parameters))),
  headers: { "content-type": "application/json" },
});

/** JSON that names the tensors, and their bytes behind it. */
export function binaryBody(tensors: readonly RawTensor[], parameters: InferParameters): InferBody {
  const inputs = tensors.map(({ name, datatype, shape, bytes }) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: bytes.length },
  }));
  const json = encoder.encode(JSON.stringify(withParameters({ inputs }, parameters)));
  return {
    body: new Uint8Array(Buffer.concat([json, ...tensors.map(({ bytes }) => bytes)])),
    headers: {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(json.length),
    },
  };
}

function withParameters(request: object, parameters: InferParameters): object {
  if (Object.keys(parameters).length === 0) return request;
  const own = "parameters" in request ? (request.parameters as object) : {};
  return { ...request, parameters: { ...own, ...parameters } };
}

/**
 * JSON of a file: a whole request of the protocol, or plain values. Plain values are an object of
 * arrays by input, or the array of the only input; a missing batch dimension is added.
 */
export function requestFromJson(text: string, metadata: Metadata): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CommandError(`the input is not JSON: ${(error as Error).message}`, "correct it");
  }
  if (Array.isArray(value)) return { inputs: [plainInput(onlyInput(metadata, "an array"), value)] };
  if (typeof value !== "object" || value === null) {
    throw new CommandError("the input is neither an object nor an array", "see infer --help");
  }
  if ("inputs" in value) return value;
  return {
    inputs: Object.entries(value).map(([name, data]) =>
      plainInput(inputNamed(metadata, name), Array.isArray(data) ? data : [data]),
    ),
  };
}

function plainInput(spec: TensorSpec, data: readonly unknown[]): object {
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  // One row without its brackets: the signature has one dimension more, and leaves the first open.
  const row = shape.length === spec.shape.length - 1 && spec.shape[0] === -1;
  return { name: spec.name, datatype: spec.datatype, shape: row ? [1, ...shape] : shape, data };
}

/** `NAME=FILE`, `NAME=FP32` or `NAME=1,64`, as they are repeated on the command line. */
export function splitPairs(option: string, pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw usageError(`${option} ${pair}`, `expected ${option} NAME=VALUE`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

export interface RawOptions {
  readonly datatypes: ReadonlyMap<string, string>;
  readonly shapes: ReadonlyMap<string, string>;
}

/** A tensor from raw bytes: what the options do not say comes from the signature and the size. */
export function rawTensor(
  name: string,
  bytes: Uint8Array,
  metadata: Metadata,
  options: RawOptions,
): RawTensor {
  const spec = inputNamed(metadata, name);
  const wanted = options.datatypes.get(name)?.toUpperCase() ?? spec.datatype;
  const datatype = DATATYPES.find((known) => known === wanted);
  if (datatype === undefined) {
    throw usageError(`--dtype ${name}=${wanted}`, `expected one of ${DATATYPES.join(", ")}`);
  }
  const text = options.shapes.get(name);
  const shape = text === undefined ? shapeOf(spec, datatype, bytes.length) : parseShape(name, text);
  return { name, datatype, shape, bytes };
}

function parseShape(name: string, text: string): readonly number[] {
  const shape = text.split(/[,x]/).map(Number);
  if (shape.every((dimension) => Number.isSafeInteger(dimension) && dimension > 0)) return shape;
  throw usageError(`--shape ${name}=${text}`, "expected whole numbers with commas, such as 1,64");
}

/** The signature's shape, with the one dimension that it leaves open taken from the size. */
function shapeOf(spec: TensorSpec, datatype: Datatype, size: number): readonly number[] {
  const open = spec.shape.filter((dimension) => dimension === -1).length;
  // With a batch and one more, the tensor is taken for one row.
  const shape = open === 2 && spec.shape[0] === -1 ? [1, ...spec.shape.slice(1)] : [...spec.shape];
  const at = shape.indexOf(-1);
  const each = ELEMENT_BYTES[datatype];
  if (each === 0 || shape.lastIndexOf(-1) !== at) {
    const declared = `[${spec.shape.join(",")}]`;
    throw usageError(
      `the shape of ${spec.name} ${declared} does not follow from ${size} bytes`,
      `give it: --shape ${spec.name}=${spec.shape.map((n) => Math.max(n, 1)).join(",")}`,
    );
  }
  if (at === -1) return shape;
  const rest = shape.reduce((product, n) => (n === -1 ? product : product * n), each);
  shape[at] = Math.max(1, Math.floor(size / rest));
  return shape;
}

/** A PNG as the only input of a model that says how it takes images. */
export function imageTensor(file: Uint8Array, metadata: Metadata): RawTensor {
  const { image } = metadata;
  if (image === undefined) {
    throw new CommandError(
      `${metadata.name} does not say how an image becomes its input`,
      "push it with --image, or give the tensor with --input NAME=FILE",
    );
  }
  const spec = onlyInput(metadata, "--image");
  const { width, height, channels } = image;
  const pixels = resize(decodePng(file, channels), width, height);
  const bytes = packImage(layOut(pixels, image), spec.datatype);
  const one = spec.shape.map((dimension, axis) => (axis === 0 && dimension === -1 ? 1 : dimension));
  if (!one.includes(-1)) return { name: spec.name, datatype: spec.datatype, shape: one, bytes };
  const shape =
    image.layout === "NHWC" ? [1, height, width, channels] : [1, channels, height, width];
  return { name: spec.name, datatype: spec.datatype, shape, bytes };
}

/** Token ids as one row of the only input. */
export function tokenRequest(ids: readonly number[], metadata: Metadata): object {
  return { inputs: [plainInput(onlyInput(metadata, "--text"), ids)] };
}

function inputNamed(metadata: Metadata, name: string): TensorSpec {
  const spec = metadata.inputs.find((input) => input.name === name);
  if (spec !== undefined) return spec;
  const names = metadata.inputs.map((input) => input.name).join(", ");
  throw new CommandError(`${metadata.name} has no input ${name}`, `its inputs: ${names}`);
}

function onlyInput(metadata: Metadata, what: string): TensorSpec {
  const [first, second] = metadata.inputs;
  if (first !== undefined && second === undefined) return first;
  const names = metadata.inputs.map((input) => input.name).join(", ");
  throw new CommandError(
    `${what} fits models with one input; ${metadata.name} has ${names}`,
    "name them: a JSON object of arrays, or --input NAME=FILE",
  );
}
