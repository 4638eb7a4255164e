/**
 * One exchange with an ingress, over connections that are kept. It tells apart what a client has to
 * tell apart: nobody took the connection, the connection broke before the status came, or a status.
 */

import { Agent, request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";

export type Exchange =
  | { readonly kind: "status"; readonly status: number; readonly body: string }
  /** Refused or unreachable: the ingress has seen nothing of it. */
  | { readonly kind: "unreached" }
  /** It may have arrived. */
  | { readonly kind: "broken" }
  | { readonly kind: "late" };

export interface Call {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Given up after this, whatever has come. */
  readonly timeoutMs: number;
  /** Breaks it off. */
  readonly signal?: AbortSignal;
}

/** I6: sockets to one ingress; what is beyond waits for one, and its latency counts on. */
const SOCKETS_MAX = 1_024;

const UNREACHED = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"]);

export class Client implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });

  async call(call: Call): Promise<Exchange> {
    const { promise, resolve } = Promise.withResolvers<Exchange>();
    const request = httpRequest(
      call.url + call.path,
      {
        agent: this.#agent,
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        method: call.method,
        headers: {
          Authorization: `Bearer ${call.key}`,
          ...(call.body === undefined
            ? {}
            : {
                "Content-Type": "application/json",
                "Content-Length": Buffer.byteLength(call.body),
              }),
          ...call.headers,
        },
      },
      (response) => {
        const status = response.statusCode ?? 0;
        text(response).then(
          (body) => resolve({ kind: "status", status, body }),
          () => resolve({ kind: "broken" }),
        );
      },
    );
    const timer = setTimeout(() => {
      resolve({ kind: "late" });
      request.destroy();
    }, call.timeoutMs);
    request.on("error", (error: NodeJS.ErrnoException) => {
      resolve({ kind: UNREACHED.has(error.code ?? "") ? "unreached" : "broken" });
    });
    request.end(call.body);
    const exchange = await promise;
    clearTimeout(timer);
    return exchange;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** The `code` of an error's body; empty where there is none. */
export function errorCode(body: string): string {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    return typeof code === "string" ? code : "";
  } catch {
    return "";
  }
}
