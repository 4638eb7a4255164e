/**
 * An ingress that answers with the sum and the first value of its input, in the ways that a test
 * needs: late, wrongly, not at all. Jobs are done when they are first looked at.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Asked {
  readonly id: string;
  readonly atMs: number;
  readonly timeoutUs: number;
  readonly authorization: string;
}

interface Input {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Body {
  readonly id?: string;
  readonly parameters?: { readonly timeout?: number };
  readonly inputs?: readonly Input[];
}

/** What to do with one request; undefined answers it rightly. */
export type Whim = (asked: Asked, response: ServerResponse) => boolean | Promise<boolean>;

export class FakeIngress implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly submissions: string[] = [];
  /** True where it has dealt with the request itself. */
  whim: Whim = () => false;
  isReady = true;
  jobWhim: (path: string, response: ServerResponse) => boolean = () => false;
  readonly #server: Server;
  readonly #jobs = new Map<string, readonly string[]>();

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeIngress> {
    const ingress = new FakeIngress();
    ingress.#server.listen(0, "127.0.0.1");
    await once(ingress.#server, "listening");
    return ingress;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const body = await text(request);
    if (path.startsWith("/v2/jobs")) return this.#serveJob(request, path, body, response);
    if (path === "/v2/health/ready") return reply(response, this.isReady ? 200 : 503, {});
    if (request.method === "GET") {
      return reply(response, 200, {
        name: "echo",
        inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
      });
    }
    const parsed = parse(body);
    const asked: Asked = {
      id: parsed?.id ?? "",
      atMs: performance.now(),
      timeoutUs: parsed?.parameters?.timeout ?? 0,
      authorization: request.headers.authorization ?? "",
    };
    this.asked.push(asked);
    if (await this.whim(asked, response)) return;
    const answer = parsed === undefined ? undefined : answerOf(parsed);
    if (answer === undefined) return reply(response, 400, { error: "bad", code: "WRONG_SHAPE" });
    reply(response, 200, { id: asked.id, ...answer });
  }

  #serveJob(request: IncomingMessage, path: string, body: string, response: ServerResponse): void {
    if (this.jobWhim(`${request.method} ${path}`, response)) return;
    const key = String(request.headers["idempotency-key"] ?? "");
    if (request.method === "POST") {
      this.submissions.push(key);
      const id = `job-${key}`;
      const { inputs } = JSON.parse(body) as { inputs: readonly Body[] };
      this.#jobs.set(
        id,
        inputs.map((one, item) => JSON.stringify({ item, response: answerOf(one) })),
      );
      return reply(response, 202, view(id, "queued"));
    }
    const [, id = "", results] = /^\/v2\/jobs\/([^/]+)(\/results)?/.exec(path) ?? [];
    const lines = this.#jobs.get(id);
    if (lines === undefined) return reply(response, 404, { error: "no", code: "JOB_NOT_FOUND" });
    if (results === undefined) return reply(response, 200, view(id, "done"));
    response.writeHead(200).end(`${lines.join("\n")}\n`);
  }
}

export function reply(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

export const view = (id: string, state: string): object => ({
  id,
  model: "echo",
  state,
  items: { total: 2, done: 0, failed: 0 },
  created_at: "2026-01-01T00:00:00Z",
});

function parse(body: string): Body | undefined {
  try {
    return JSON.parse(body) as Body;
  } catch {
    return undefined;
  }
}

function answerOf({ inputs = [] }: Body): object | undefined {
  const [input] = inputs;
  if (input === undefined || input.data.length !== 4) return undefined;
  const { name, datatype, shape, data } = input;
  if ([name, datatype, ...shape].join() !== "x,FP32,1,4") return undefined;
  if (data.some((value) => typeof value !== "number")) return undefined;
  const sum = data.reduce((total, value) => total + value, 0);
  return { outputs: [{ name: "y", data: [sum, data[0] ?? 0] }] };
}
