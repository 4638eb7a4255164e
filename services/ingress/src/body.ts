/**
 * Reads request bodies into one buffer each. A declared length is refused before anything is taken
 * for it, and all bodies that are being read are bounded together (I6): by what has come of them,
 * so that nobody takes room from others by announcing much and sending little.
 */

import type { IncomingMessage } from "node:http";
import { BODY_BYTES_MAX, type Fault, fault } from "@millrace/protocol";
import { fail, formatBytes, ok, type Result } from "@millrace/std";
import type { Request } from "./request.ts";

export interface BodyLimits {
  readonly bodyBytesMax: number;
  /** Of all bodies that are being read. */
  readonly readingBytesMax: number;
}

const NO_BODY = new Uint8Array(0);
/**
 * A buffer is so much larger than what has come, or as large as the body where that is less: then
 * most bodies are copied once, and an announcement alone gives the collector nothing to do.
 */
const AHEAD_BYTES_MIN = 1024 * 1024;
const AHEAD_FACTOR = 16;
const CHUNKED_BYTES_MIN = 16 * 1024;

export class BodyReader {
  readonly #limits: BodyLimits;
  #bytes = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** Bytes that have come of bodies that are not complete yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Why this request's body is not taken, as far as its head tells. */
  refusal(request: IncomingMessage): Fault | undefined {
    const { headers } = request;
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      const found = `Content-Encoding ${JSON.stringify(encoding.slice(0, 40))}`;
      return fault("UNSUPPORTED_ENCODING", `${found} is not accepted; send the body as it is`);
    }
    return this.#tooMuch(declaredBytes(request) ?? 0);
  }

  /** Calls `done` once, unless the connection breaks first: then there is nobody to answer. */
  read(request: Request, done: (body: Result<Uint8Array, Fault>) => void): void {
    const declared = declaredBytes(request);
    if (declared === 0) {
      request.resume();
      done(ok(NO_BODY));
    } else if (declared === undefined) {
      this.#readChunked(request, done);
    } else {
      this.#readDeclared(request, declared, done);
    }
  }

  #readDeclared(
    request: Request,
    declared: number,
    done: (body: Result<Uint8Array, Fault>) => void,
  ): void {
    let body: Uint8Array = NO_BODY;
    let received = 0;
    request.takeBody({
      chunk: (chunk) => {
        // A small body comes whole, in the packet of its head: it is used as it is.
        if (chunk.length === declared) {
          request.dismissTaker();
          done(ok(chunk));
          return;
        }
        const refusal = this.#tooMuch(received + chunk.length, received);
        if (refusal === undefined) {
          body = this.#append(body, received, chunk, declared);
          received += chunk.length;
          // The parser ends the body at its declared length, so there is never more.
          if (received < declared) return;
        }
        // What comes after a refusal is dropped: a client that writes first gets to see the answer.
        request.dismissTaker();
        this.#bytes -= received;
        done(refusal === undefined ? ok(body) : fail(refusal));
      },
      broken: () => void (this.#bytes -= received),
    });
  }

  /** @returns the buffer with the chunk behind its `held` bytes, in room for `most` at most. */
  #append(body: Uint8Array, held: number, chunk: Buffer, most: number): Uint8Array {
    const grown = withRoom(body, held, chunk.length, most);
    grown.set(chunk, held);
    this.#bytes += chunk.length;
    return grown;
  }

  /** Into one buffer as well: a client may send a chunk for every byte. */
  #readChunked(request: IncomingMessage, done: (body: Result<Uint8Array, Fault>) => void): void {
    let body: Uint8Array = NO_BODY;
    let held = 0;
    let state: "reading" | "ended" = "reading";
    const end = (): void => {
      state = "ended";
      this.#bytes -= held;
    };
    request.on("data", (chunk: Buffer) => {
      if (state === "ended") return;
      const refusal = this.#tooMuch(held + chunk.length, held);
      if (refusal !== undefined) {
        end();
        body = NO_BODY;
        discard(request);
        done(fail(refusal));
        return;
      }
      // Nothing says how much will come: twice what has.
      const twice = Math.max(CHUNKED_BYTES_MIN, 2 * (held + chunk.length));
      body = this.#append(body, held, chunk, Math.min(twice, this.#limits.bodyBytesMax));
      held += chunk.length;
    });
    request.once("end", () => {
      if (state === "ended") return;
      end();
      const whole = body.subarray(0, held);
      // Tensors are views of it: what nobody needs of the buffer would stay with them.
      done(ok(2 * held < body.length ? new Uint8Array(whole) : whole));
    });
    request.once("close", () => {
      if (state === "reading") end();
    });
  }

  /** @param held the part of `bytes` that is counted already. */
  #tooMuch(bytes: number, held = 0): Fault | undefined {
    const { bodyBytesMax, readingBytesMax } = this.#limits;
    if (bytes > bodyBytesMax) {
      return fault("BODY_TOO_LARGE", `a body may have ${formatBytes(bodyBytesMax)}`);
    }
    if (this.#bytes - held + bytes > readingBytesMax) {
      const reading = formatBytes(this.#bytes - held);
      return fault("OVERLOADED", `${reading} of other bodies are being read`);
    }
    return undefined;
  }
}

/** The buffer, or one with its first `held` bytes that takes `more` and has room for `most`. */
function withRoom(body: Uint8Array, held: number, more: number, most: number): Uint8Array {
  const needed = held + more;
  if (needed <= body.length) return body;
  const room = Math.min(most, Math.max(AHEAD_BYTES_MIN, AHEAD_FACTOR * needed));
  const grown = Buffer.allocUnsafeSlow(room);
  grown.set(body.subarray(0, held));
  return grown;
}

/** Undefined for a chunked body. The parser has checked the header and refused both together. */
function declaredBytes({ headers }: IncomingMessage): number | undefined {
  if (headers["transfer-encoding"] !== undefined) return undefined;
  const declared = headers["content-length"];
  return declared === undefined ? 0 : Number(declared);
}

/**
 * Reads on after a refusal, so that a client that writes its body first gets to see the answer; not
 * more than a body may have, and not longer than a request may take.
 */
export function discard(request: IncomingMessage): void {
  let left = BODY_BYTES_MAX;
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
}
