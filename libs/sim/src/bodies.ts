/** The inputs of simulated requests: each says whose it is, and the model gives back its input. */

import { TRACE_BYTES } from "@millrace/protocol";

const MARK = 0x6d696c6c;
const INPUT_BYTES = 8;

/** A request's number, and a mark by which an output that was never an input is seen. */
export function bodyOfRequest(id: number): Uint8Array {
  const body = new Uint8Array(INPUT_BYTES);
  const view = new DataView(body.buffer);
  view.setUint32(0, id, true);
  view.setUint32(4, (id ^ MARK) >>> 0, true);
  return body;
}

/** Undefined for bytes that are no request's body. */
export function requestOfBody(body: Uint8Array): number | undefined {
  if (body.length !== INPUT_BYTES) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const id = view.getUint32(0, true);
  return view.getUint32(4, true) === (id ^ MARK) >>> 0 ? id : undefined;
}

/** What a model makes of an input: the input, and the digest of its own bytes. */
export function outputOf(body: Uint8Array, digest: string): Uint8Array {
  const tag = new TextEncoder().encode(digest);
  const output = new Uint8Array(body.length + tag.length);
  output.set(body);
  output.set(tag, body.length);
  return output;
}

export function readOutput(output: Uint8Array): {
  readonly content: string;
  readonly servedBy: string;
} {
  const content = requestName(requestOfBody(output.subarray(0, INPUT_BYTES)));
  return { content, servedBy: new TextDecoder().decode(output.subarray(INPUT_BYTES)) };
}

/** A ticket's tail: a trace id, and the body unless it stays at the ingress. */
export function tailOf(body: Uint8Array, remote: boolean): Uint8Array {
  const tail = new Uint8Array(TRACE_BYTES + (remote ? 0 : body.length));
  if (!remote) tail.set(body, TRACE_BYTES);
  return tail;
}

export const requestName = (id: number | undefined): string =>
  id === undefined ? "nobody" : `r${id}`;
