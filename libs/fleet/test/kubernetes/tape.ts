/**
 * What went over the wire between the driver and an API server, in stages: what the reads answered,
 * one after another, up to each write. A tape is recorded through a real server and played without
 * one; played, a write that is not the recorded one is refused.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Answer, Call } from "./control-plane.ts";

export interface Stage {
  /** By path: the different answers of its reads, in order. */
  readonly reads: Record<string, Answer[]>;
  /** What ended the stage; the last one has none. */
  write?: { readonly call: Call; readonly answer: Answer };
  mark?: string;
}

/** The place of the API server for the driver: passes on and records, or plays. */
export interface Desk {
  /** Something happens that the driver does not cause. */
  mark(name: string): void;
  answer(call: Call): Promise<Answer>;
}

export class Recorder implements Desk {
  readonly stages: Stage[] = [{ reads: {} }];
  readonly #send: (call: Call) => Promise<Answer>;

  constructor(send: (call: Call) => Promise<Answer>) {
    this.#send = send;
  }

  mark(name: string): void {
    const stage = this.stages.at(-1);
    if (stage !== undefined) stage.mark = name;
    this.stages.push({ reads: {} });
  }

  async answer(call: Call): Promise<Answer> {
    const { status, body } = await this.#send(call);
    const answer = { status, body: essential(body) };
    const stage = this.stages.at(-1);
    if (stage === undefined) throw new Error("a recorder has a stage");
    if (call.method === "GET") {
      const answers = (stage.reads[call.path] ??= []);
      if (answers.at(-1)?.body !== answer.body) answers.push(answer);
    } else {
      stage.write = { call, answer };
      this.stages.push({ reads: {} });
    }
    return answer;
  }
}

export class Player implements Desk {
  readonly #stages: readonly Stage[];
  /** The latest answer of every path, for reads that were not repeated in a later stage. */
  readonly #latest = new Map<string, Answer>();
  #at = 0;
  #read = new Map<string, number>();

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
  }

  mark(name: string): void {
    if (this.#stages[this.#at]?.mark === name) this.#next();
  }

  async answer(call: Call): Promise<Answer> {
    const stage = this.#stages[this.#at];
    if (call.method === "GET") {
      const at = this.#read.get(call.path) ?? 0;
      const answers = stage?.reads[call.path] ?? [];
      const answer = answers[Math.min(at, answers.length - 1)] ?? this.#latest.get(call.path);
      this.#read.set(call.path, at + 1);
      if (answer === undefined) return refusal(`GET ${call.path} was not recorded`);
      this.#latest.set(call.path, answer);
      return answer;
    }
    const write = stage?.write;
    if (write === undefined || JSON.stringify(write.call) !== JSON.stringify(call)) {
      const [got, wanted] = [JSON.stringify(call), JSON.stringify(write?.call)];
      return refusal(`${got} is not the recorded ${wanted}`);
    }
    this.#next();
    return write.answer;
  }

  #next(): void {
    this.#at++;
    this.#read = new Map();
  }
}

const refusal = (message: string): Answer => ({ status: 400, body: JSON.stringify({ message }) });

/** What the driver may look at: without the server's book-keeping, and without the pods' specs. */
function essential(body: string): string {
  return JSON.stringify(JSON.parse(body), (key, value: unknown) =>
    key === "managedFields" || key === "ownerReferences" || key === "containers"
      ? undefined
      : value,
  );
}

/** Serves a desk on loopback; while it is cut, connections are reset. */
export class DeskServer implements AsyncDisposable {
  readonly #server: Server;
  #cut = false;

  private constructor(desk: Desk) {
    this.#server = createServer((request, response) => void this.#serve(desk, request, response));
  }

  static async start(desk: Desk): Promise<DeskServer> {
    const server = new DeskServer(desk);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set cut(value: boolean) {
    this.#cut = value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#cut) {
      request.socket.destroy();
      return;
    }
    const { method = "", url: path = "" } = request;
    const body = await text(request);
    const contentType = request.headers["content-type"];
    const answer = await desk.answer({
      method,
      path,
      ...(body === "" ? {} : { body }),
      ...(contentType === undefined ? {} : { contentType }),
    });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
  }
}
