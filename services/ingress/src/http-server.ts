/**
 * The HTTP listener: strict, bounded, and aware of who is still there.
 *
 * node:http and no framework: for small bodies all are within a tenth of each other, but for 600 KB
 * bodies node:http took 4,300 requests a second where fastify took 3,100 and hono 2,400, because
 * here a body is read into one buffer of its declared length.
 */

import { once } from "node:events";
import { createServer, type Server, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { errorDocument } from "@millrace/openinference";
import { ERRORS, type Fault, fault } from "@millrace/protocol";
import { discard } from "./body.ts";
import { Reply } from "./reply.ts";
import { Request } from "./request.ts";
import { Untaken } from "./untaken.ts";

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  /** How long a request may take to arrive, and a large response to be taken. */
  readonly arrivalMs: number;
  /** Also what lacks a Host or expects the unknown, which node:http would refuse without a word. */
  readonly handle: (request: Request, reply: Reply) => void;
  /** The client went away before its answer. */
  readonly gone: (reply: Reply) => void;
  /** What never became a request, or not a whole one, is refused here; the headers of that. */
  readonly refused: (reason: Fault) => readonly [name: string, value: string];
}

export interface HttpListener extends AsyncDisposable {
  readonly port: number;
  /** Takes no more connections; those that are open end with the answer to what they asked. */
  drain(): void;
  /** Resolves when no request is being read, none waits, and every client has its answer. */
  idle(): Promise<void>;
}

const HEADER_BYTES_MAX = 64 * 1024;
const HEAD_MS_MAX = 10_000;
/** Longer than the idle time of usual load balancers, which would else meet closed connections. */
const KEEP_ALIVE_MS = 75_000;
const IDLE_LOOK_MS = 20;
/** How exact the two limits on arriving are. */
const LOOK_MS = 1_000;
/** Of large responses that clients have not taken yet: as much as of requests, by default. */
const UNTAKEN_BYTES_MAX = 512 * 1024 * 1024;

type HttpServer = Server<typeof Request, typeof Reply>;

export async function listen(options: HttpOptions): Promise<HttpListener> {
  const listener = new Listener(options);
  await listener.open();
  return listener;
}

class Listener implements HttpListener {
  readonly #options: HttpOptions;
  readonly #server: HttpServer;
  readonly #untaken: Untaken;
  /** Per connection, what has not been answered yet, oldest first, and the last one before that. */
  readonly #replies = new Map<Duplex, Reply[]>();
  #state: "serving" | "draining" = "serving";

  constructor(options: HttpOptions) {
    this.#options = options;
    const { arrivalMs, connectionsMax } = options;
    this.#untaken = new Untaken({ msMax: arrivalMs, bytesMax: UNTAKEN_BYTES_MAX });
    this.#server = createServer({
      IncomingMessage: Request,
      ServerResponse: Reply,
      insecureHTTPParser: false,
      requireHostHeader: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: Math.min(arrivalMs, HEAD_MS_MAX),
      requestTimeout: arrivalMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: LOOK_MS,
    });
    this.#server.maxConnections = connectionsMax; // I6
    this.#server.on("connection", (socket) => this.#connected(socket));
    this.#server.on("request", (request, reply) => this.#requested(request, reply));
    for (const expecting of ["checkContinue", "checkExpectation"] as const) {
      this.#server.on(expecting, (request, reply) => this.#requested(request, reply));
    }
    this.#server.on("clientError", (error, socket) => this.#failed(error, socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async open(): Promise<void> {
    const { host, port } = this.#options;
    this.#server.listen({ host, port });
    await once(this.#server, "listening");
  }

  drain(): void {
    if (this.#state === "draining") return;
    this.#state = "draining";
    // Idle connections are closed by this; those with an open request learn it from its answer,
    // or their clients would send the next one here.
    this.#server.close();
    for (const replies of this.#replies.values()) {
      const last = replies.at(-1);
      if (last !== undefined) last.isLast = true;
    }
  }

  async idle(): Promise<void> {
    while (this.#isBusy()) await sleep(IDLE_LOOK_MS);
  }

  #isBusy(): boolean {
    for (const replies of this.#replies.values()) {
      if (replies.some(isOwed)) return true;
    }
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drain();
    this.#server.closeAllConnections();
  }

  #connected(socket: Socket): void {
    const replies: Reply[] = [];
    this.#replies.set(socket, replies);
    // Also for requests that wait behind another one, whose own responses hear nothing of it.
    socket.once("close", () => {
      this.#replies.delete(socket);
      for (const reply of replies) if (reply.state !== "answered") this.#options.gone(reply);
    });
  }

  #requested(request: Request, reply: Reply): void {
    const replies = this.#replies.get(request.socket);
    while (replies?.[0]?.state === "answered") replies.shift();
    replies?.push(reply);
    reply.isLast = this.#state === "draining";
    reply.untaken = this.#untaken;
    this.#options.handle(request, reply);
    if (!request.complete && reply.state === "answered") discard(request);
  }

  /**
   * What did not parse, or did not come in time. The bytes written here are the answer to the
   * oldest request without one, so they are only written where that is the one that failed: not to
   * who has an answer and goes on with the body of that.
   */
  #failed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const replies = this.#replies.get(socket) ?? [];
    const waiting = replies.filter(({ state }) => state !== "answered");
    const [oldest] = waiting;
    if (oldest === undefined && replies.at(-1)?.req.complete === false) {
      socket.end(() => socket.destroy());
      return;
    }
    const own = oldest === undefined || (waiting.length === 1 && oldest.state === "reading");
    if (!own || !socket.writable || error.code === "ECONNRESET" || oldest?.headersSent === true) {
      socket.destroy();
      return;
    }
    const reason = describe(error, oldest !== undefined);
    const { status } = ERRORS[reason.code];
    const body = errorDocument(reason.code, reason.message);
    const [name, value] = this.#options.refused(reason);
    if (oldest !== undefined) this.#options.gone(oldest);
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
        `Content-Type: application/json\r\nConnection: close\r\n${name}: ${value}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      () => socket.destroy(),
    );
  }
}

/** Not to a client that has its refusal and writes on. */
function isOwed({ writableFinished, destroyed, state, req }: Reply): boolean {
  const isRefused = state === "answered" && !req.complete;
  return !writableFinished && !destroyed && !isRefused;
}

function describe(error: NodeJS.ErrnoException, inBody: boolean): Fault {
  if (error.code === "HPE_HEADER_OVERFLOW") {
    return fault("HEAD_TOO_LARGE", `the head of a request may have ${HEADER_BYTES_MAX} bytes`);
  }
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return fault("REQUEST_TIMEOUT", "the request did not arrive in time");
  }
  if (inBody && error.code === "HPE_INVALID_EOF_STATE") {
    return fault("TRUNCATED_BODY", "the body ended before its declared length");
  }
  return fault("INVALID_REQUEST", "this is not HTTP/1.1");
}
