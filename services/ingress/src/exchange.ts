/** One inference request from its body to its answer: what the core does not need to know of it. */

import {
  encodePartOf,
  type Fault,
  INLINE_BODY_BYTES_MAX,
  type Tensor,
  tensorPieces,
  tensorsBytes,
  TRACE_BYTES,
  type Written,
  writeTensors,
} from "@millrace/protocol";
import type { InferRequest, InferResponse, WantedOutput } from "@millrace/openinference";
import type { Access } from "./access.ts";
import type { ServedModel } from "./catalogue.ts";
import type { Reply } from "./reply.ts";
import { traceFor } from "./trace.ts";

/** Takes the one answer of a request that no client waits for. */
export interface Sink {
  /** @param computeUs of the run that it was in. */
  served(response: InferResponse, computeUs: number): void;
  failed(fault: Fault): void;
}

export interface ExchangeParts {
  readonly seq: number;
  readonly access: Access;
  readonly model: ServedModel;
  readonly request: InferRequest;
  /** Who gets the answer. */
  readonly reply: Reply | Sink;
  /** The client's `traceparent`. */
  readonly traceparent: string | undefined;
  readonly arrivedUs: number;
}

/** Of a buffer that holds little more than the tensors no copy is made. */
const OTHER_BYTES_MAX = 16 * 1024;

/**
 * I6: open requests are counted by their tensors. A view keeps the whole body, of which a client
 * can make nearly all something else.
 */
function ownBytes(tensor: Tensor, bodyBytes: number): Tensor {
  const { bytes } = tensor;
  if (bytes.buffer.byteLength <= 2 * bodyBytes + OTHER_BYTES_MAX) return tensor;
  return { ...tensor, bytes: new Uint8Array(bytes) };
}

export class Exchange {
  readonly seq: number;
  readonly access: Access;
  readonly model: ServedModel;
  readonly reply: Reply | Sink;
  readonly arrivedUs: number;
  readonly id: string | undefined;
  readonly outputs: readonly WantedOutput[];
  readonly tier: InferRequest["tier"];
  readonly rows: number;
  /** Elements along the padded axis, of all rows; 0 for models of fixed shape. */
  readonly tokens: number;
  readonly bodyBytes: number;
  /** What travels in the ticket: the trace id, and the body unless it is remote. */
  readonly tail: Written;
  readonly #trace: Uint8Array;
  /** Views of what the client sent. */
  readonly #tensors: readonly Tensor[];
  /** Of a remote body, once parts of it are asked for. */
  #pieces: readonly Uint8Array[] | undefined;

  constructor(parts: ExchangeParts) {
    const { request } = parts;
    this.seq = parts.seq;
    this.access = parts.access;
    this.model = parts.model;
    this.reply = parts.reply;
    this.arrivedUs = parts.arrivedUs;
    this.id = request.id;
    this.outputs = request.outputs;
    this.tier = request.tier;
    this.rows = request.rows;
    this.tokens = request.rows * request.length;
    this.bodyBytes = tensorsBytes(request.tensors);
    this.#tensors = request.tensors.map((tensor) => ownBytes(tensor, this.bodyBytes));
    this.#trace = traceFor(parts.traceparent);
    // Into the frame itself, and again with a retry: a buffer of its own for each request, and one
    // more copy, would be a large part of what a small one costs.
    this.tail = {
      length: TRACE_BYTES + (this.isRemote ? 0 : this.bodyBytes),
      write: (writer) => {
        writer.raw(this.#trace);
        if (!this.isRemote) writeTensors(writer, this.#tensors);
      },
    };
  }

  /** The body is too large for a ticket: workers fetch it. */
  get isRemote(): boolean {
    return this.bodyBytes > INLINE_BODY_BYTES_MAX;
  }

  /** 32 hexadecimal digits. */
  get trace(): string {
    return Buffer.from(this.#trace).toString("hex");
  }

  /** A part frame with `length` bytes of a remote body from `offset` on. */
  encodePart(from: string, attempt: number, offset: number, length: number): Uint8Array {
    const frame = { from, seq: this.seq, attempt, offset, total: this.bodyBytes };
    const pieces = (this.#pieces ??= tensorPieces(this.#tensors));
    return encodePartOf(frame, length, (writer) => {
      let skip = offset;
      let left = length;
      for (const piece of pieces) {
        if (left === 0) return;
        const bytes = piece.subarray(Math.min(skip, piece.length), skip + left);
        skip = Math.max(0, skip - piece.length);
        left -= bytes.length;
        writer.raw(bytes);
      }
    });
  }
}
