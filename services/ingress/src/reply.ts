/** What a client gets: results, documents, and errors in the one form that all of them have. */

import { ServerResponse } from "node:http";
import { ERRORS, type Fault } from "@millrace/protocol";
import { errorDocument, type InferResponse } from "@millrace/openinference";
import type { Exchange } from "./exchange.ts";
import type { Request } from "./request.ts";
import type { Untaken } from "./untaken.ts";

/** A response, and how far its request has come. */
export class Reply extends ServerResponse<Request> {
  state: "reading" | "waiting" | "answered" = "reading";
  /** The inference request that it answers, once that is open. */
  exchange: Exchange | undefined;
  /** The last one on its connection. */
  isLast = false;
  /** Watches it where it is large. */
  untaken: Untaken | undefined;
}

type Headers = readonly string[];

const JSON_TYPE = "application/json";
const BINARY_TYPE = "application/octet-stream";
const HEADER_LENGTH = "Inference-Header-Content-Length";
/**
 * A small response is one buffer, which the kernel takes at once; tensors of a larger one are
 * written as they are, and stay until the client has taken them.
 */
const JOINED_BYTES_MAX = 64 * 1024;
/** Above this, a copy into a string costs more than it saves. */
const STRING_BYTES_MAX = 8 * 1024;
/** A connection may be kept so long by a body that nobody wants. */
const LINGER_MS_MAX = 5_000;
const SECOND_US = 1_000_000;

/** I1: an answer is written once; a client that is gone gets none. */
function begin(reply: Reply, status: number, type: string, bytes: number, more: Headers): void {
  reply.state = "answered";
  // A kept connection remembers its last reply; the request's tensors go now.
  reply.exchange = undefined;
  const headers = ["Content-Type", type, "Content-Length", String(bytes), ...more];
  if (reply.isLast) headers.push("Connection", "close");
  reply.writeHead(status, headers);
  if (bytes > JOINED_BYTES_MAX) reply.untaken?.add(reply, bytes);
}

export function replyDocument(
  reply: Reply,
  document: unknown,
  status = 200,
  more: Headers = [],
): void {
  replyText(reply, status, JSON.stringify(document), more);
}

function replyText(reply: Reply, status: number, text: string, more: Headers): void {
  if (reply.state === "answered") return;
  const body = Buffer.from(text);
  begin(reply, status, JSON_TYPE, body.length, more);
  if (isBodyAwaited(reply)) linger(reply, body);
  else reply.end(body);
}

/** The response's end closes the connection, and the client still writes its request. */
function isBodyAwaited({ req, shouldKeepAlive, isLast }: Reply): boolean {
  // Who asks first, and is told no, sends none.
  if (req.complete || req.headers.expect !== undefined) return false;
  return !shouldKeepAlive || isLast;
}

/** Who writes into a closed connection sees that, and not the answer. */
function linger(reply: Reply, body: Buffer): void {
  reply.write(body);
  const end = (): void => {
    clearTimeout(late);
    reply.end();
  };
  const late = setTimeout(end, LINGER_MS_MAX);
  late.unref();
  reply.req.onceComplete(end);
}

/** @param more headers besides those that the fault itself asks for. */
export function replyFault(reply: Reply, fault: Fault, more: Headers = []): void {
  const { status } = ERRORS[fault.code];
  const headers = [...more];
  if (status === 429 || status === 503) {
    headers.push("Retry-After", String(retryAfterSeconds(fault)));
  }
  if (status === 401) headers.push("WWW-Authenticate", 'Bearer realm="millrace"');
  replyText(reply, status, errorDocument(fault.code, fault.message), headers);
}

/** Whole seconds are all that the header knows. */
const retryAfterSeconds = ({ retryAfterUs = SECOND_US }: Fault): number =>
  Math.max(1, Math.ceil(retryAfterUs / SECOND_US));

export function replyInference(reply: Reply, response: InferResponse, more: Headers): void {
  if (reply.state === "answered") return;
  const { json, binary } = response;
  const jsonBytes = Buffer.byteLength(json);
  if (binary.length === 0) {
    begin(reply, 200, JSON_TYPE, jsonBytes, more);
    reply.end(json);
    return;
  }
  let bytes = jsonBytes;
  for (const tensor of binary) bytes += tensor.length;
  begin(reply, 200, BINARY_TYPE, bytes, [HEADER_LENGTH, String(jsonBytes), ...more]);
  if (bytes > JOINED_BYTES_MAX) {
    reply.cork();
    reply.write(json);
    for (const tensor of binary) reply.write(tensor);
    reply.end();
    return;
  }
  const body = Buffer.allocUnsafe(bytes);
  let at = body.write(json);
  for (const tensor of binary) {
    body.set(tensor, at);
    at += tensor.length;
  }
  // As a string it leaves in one piece with the headers: one write instead of a vector of two.
  if (bytes <= STRING_BYTES_MAX) reply.end(body.toString("latin1"), "latin1");
  else reply.end(body);
}
