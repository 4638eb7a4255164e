/** The inputs of simulated requests: each says whose it is, and the model gives back its input. */

import { TRACE_BYTES } from "@millrace/protocol";

const MARK = 0x6d696c6c;

/** A request's number, and a mark by which an output that was never an input is seen. */
export function bodyOfRequest(id: number): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint32(0, id, true);
  view.setUint32(4, (id ^ MARK) >>> 0, true);
  return body;
}

/** Undefined for bytes that are no request's body. */
export function requestOfBody(body: Uint8Array): number | undefined {
  if (body.length !== 8) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const id = view.getUint32(0, true);
  return view.getUint32(4, true) === (id ^ MARK) >>> 0 ? id : undefined;
}

/** A ticket's tail: a trace id, and the body unless it stays at the ingress. */
export function tailOf(body: Uint8Array, remote: boolean): Uint8Array {
  const tail = new Uint8Array(TRACE_BYTES + (remote ? 0 : body.length));
  if (!remote) tail.set(body, TRACE_BYTES);
  return tail;
}

export const requestName = (id: number | undefined): string =>
  id === undefined ? "nobody" : `r${id}`;
