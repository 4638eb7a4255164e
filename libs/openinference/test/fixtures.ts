/** Models and bodies that the tests of this library share. */

import type { ModelSpec } from "@millrace/protocol";
import { type InferRequest, parseInferRequest, prepareSignature } from "../src/index.ts";

const common = {
  version: 3,
  digest: "0".repeat(64),
  bytes: 1,
  provenance: { source: "made", upstreamName: "made", licence: "Apache-2.0" },
  createdAt: "2026-01-01T00:00:00Z",
};

/** Rows of 2 x 3 floats to rows of 2 floats. */
export const floats: ModelSpec = {
  ...common,
  name: "floats",
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2, 3] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
  maxBatch: 8,
};

/** Token ids of any length up to 16 with a mask, and a row of flags. */
export const tokens: ModelSpec = {
  ...common,
  name: "tokens",
  inputs: [
    { name: "ids", datatype: "INT64", shape: [-1, -1] },
    { name: "mask", datatype: "BOOL", shape: [-1, -1] },
    { name: "extra", datatype: "UINT8", shape: [-1, -1, 2] },
  ],
  outputs: [
    { name: "label", datatype: "BYTES", shape: [-1] },
    { name: "scores", datatype: "FP16", shape: [-1, 2] },
  ],
  maxBatch: 4,
  padding: { axis: 1, inputs: ["ids", "mask"], value: 0, lengthMax: 16, outputs: [] },
};

/** One input of the given datatype and shape; one request at a time unless `maxBatch` is given. */
export const single = (
  datatype: ModelSpec["inputs"][number]["datatype"],
  shape: number[],
  maxBatch = 0,
): ModelSpec => ({
  ...common,
  name: "single",
  inputs: [{ name: "x", datatype, shape }],
  outputs: [{ name: "y", datatype, shape }],
  maxBatch,
});

const encoder = new TextEncoder();

export const json = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** The body and the header value of a request with binary data. */
export function binaryBody(
  value: unknown,
  ...tensors: readonly Uint8Array[]
): { readonly body: Uint8Array; readonly headerBytes: number } {
  const head = json(value);
  const size = tensors.reduce((sum, bytes) => sum + bytes.length, head.length);
  const body = new Uint8Array(size);
  body.set(head);
  let at = head.length;
  for (const bytes of tensors) {
    body.set(bytes, at);
    at += bytes.length;
  }
  return { body, headerBytes: head.length };
}

/** The request, which must be accepted. */
export function accepted(spec: ModelSpec, body: Uint8Array, headerBytes?: number): InferRequest {
  const result = parseInferRequest(prepareSignature(spec), body, headerBytes);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** `CODE: message` of a request that must be refused. */
export function refused(spec: ModelSpec, body: Uint8Array, headerBytes?: number): string {
  const result = parseInferRequest(prepareSignature(spec), body, headerBytes);
  if (result.ok) throw new Error("accepted");
  return `${result.error.code}: ${result.error.message}`;
}

export const bytesOf = (array: { readonly buffer: ArrayBufferLike }): Uint8Array =>
  new Uint8Array(array.buffer);
