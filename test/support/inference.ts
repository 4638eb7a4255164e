/** A client of the Open Inference Protocol: values in as JSON or binary tensors, values out. */

import { present } from "@millrace/std";

/** Where an ingress listens. */
export interface Target {
  readonly url: string;
  readonly key: string;
}

/** The datatypes that the tests' models have, and the arrays that hold them. */
const ARRAYS = { FP32: Float32Array, INT64: BigInt64Array } as const;

export interface Values {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: readonly number[];
}

export interface AskOptions {
  readonly id?: string;
  readonly version?: number;
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** How the inputs travel; the default is JSON. */
  readonly send?: "json" | "binary";
  /** How the outputs travel; the default is as the inputs. */
  readonly receive?: "json" | "binary";
  /** Ends the request without an answer. */
  readonly signal?: AbortSignal;
}

/** An answer of any status; what a refusal has not is undefined. */
export interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly retryAfter: string | undefined;
  readonly id: string | undefined;
  readonly model: string | undefined;
  readonly version: number | undefined;
  readonly outputs: readonly Values[];
}

export interface WireRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer<ArrayBuffer>;
}

const LENGTH_HEADER = "Inference-Header-Content-Length";

/** @throws Error when no answer comes, or one that is no answer of the protocol. */
export async function ask(
  target: Target,
  model: string,
  inputs: readonly Values[],
  options: AskOptions = {},
): Promise<Answer> {
  const { path, headers, body } = wireRequest(model, inputs, options);
  const { signal } = options;
  const response = await fetch(target.url + path, {
    method: "POST",
    headers: { ...headers, Authorization: `Bearer ${target.key}` },
    body,
    ...(signal === undefined ? {} : { signal }),
  });
  return readAnswer(response);
}

export function wireRequest(
  model: string,
  inputs: readonly Values[],
  options: AskOptions = {},
): WireRequest {
  const { id, version, send = "json", receive = send } = options;
  const of = version === undefined ? "" : `/versions/${version}`;
  const path = `/v2/models/${model}${of}/infer`;
  const tensors: Buffer[] = [];
  const document = {
    ...(id === undefined ? {} : { id }),
    parameters: { ...options.parameters, binary_data_output: receive === "binary" },
    inputs: inputs.map(({ data, ...described }) => {
      if (send === "json") return { ...described, data };
      const bytes = toBytes(described.datatype, data);
      tensors.push(bytes);
      return { ...described, parameters: { binary_data_size: bytes.length } };
    }),
  };
  const json = Buffer.from(JSON.stringify(document));
  if (send === "json") {
    return { path, headers: { "Content-Type": "application/json" }, body: json };
  }
  const headers = {
    "Content-Type": "application/octet-stream",
    [LENGTH_HEADER]: String(json.length),
  };
  return { path, headers, body: Buffer.concat([json, ...tensors]) };
}

interface Document {
  readonly id?: string;
  readonly error?: string;
  readonly code?: string;
  readonly model_name?: string;
  readonly model_version?: string;
  readonly outputs?: readonly (Omit<Values, "data"> & {
    readonly data?: readonly number[];
    readonly parameters?: { readonly binary_data_size: number };
  })[];
}

export async function readAnswer(response: Response): Promise<Answer> {
  const body = Buffer.from(await response.arrayBuffer());
  const length = response.headers.get(LENGTH_HEADER);
  const json = body.subarray(0, length === null ? body.length : Number(length));
  const document = JSON.parse(json.toString()) as Document;
  let at = json.length;
  const outputs = (document.outputs ?? []).map(({ name, datatype, shape, data, parameters }) => {
    if (parameters === undefined) return { name, datatype, shape, data: present(data, name) };
    const bytes = body.subarray(at, at + parameters.binary_data_size);
    at += bytes.length;
    return { name, datatype, shape, data: fromBytes(datatype, bytes) };
  });
  if (at !== body.length) throw new Error(`${body.length - at} bytes follow the outputs`);
  const { id, code, error: message, model_name: model, model_version: version } = document;
  return {
    status: response.status,
    code,
    message,
    retryAfter: response.headers.get("Retry-After") ?? undefined,
    id,
    model,
    version: version === undefined ? undefined : Number(version),
    outputs,
  };
}

const isKnown = (datatype: string): datatype is keyof typeof ARRAYS =>
  Object.hasOwn(ARRAYS, datatype);

function toBytes(datatype: string, data: readonly number[]): Buffer {
  if (!isKnown(datatype)) throw new Error(`no array for ${datatype}`);
  const values = datatype === "INT64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
  return Buffer.from(values.buffer);
}

function fromBytes(datatype: string, bytes: Uint8Array): readonly number[] {
  if (!isKnown(datatype)) throw new Error(`no array for ${datatype}`);
  // A copy: views have to be aligned.
  return Array.from(new ARRAYS[datatype](new Uint8Array(bytes).buffer), Number);
}
