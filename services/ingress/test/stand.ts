/**
 * An ingress on a real broker, with the test in the places of its scheduler and its workers: it
 * sees the tickets, and answers them as `onTicket` says.
 */

import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import {
  type Answer,
  bodyOf,
  type CancelFrame,
  decodeCancel,
  decodePart,
  decodeTensors,
  decodeTickets,
  encodeAnswers,
  encodeFetch,
  encodeJson,
  encodePart,
  encodeTensors,
  type ErrorCode,
  frameKind,
  type ModelRecord,
  type ModelSpec,
  type SchedulerHeartbeat,
  subjects,
  type Tensor,
  type Ticket,
} from "@millrace/protocol";
import { readConfig } from "@millrace/runtime";
import { present, type Result } from "@millrace/std";
import { openStore, type Store } from "@millrace/store";
import { fields, runIngress } from "../src/index.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const SCHEDULER = "scheduler-1";
const WORKER = "gpu-worker-1";
const BEAT_MS = 50;
const WAIT_MS_MAX = 10_000;
const PART_BYTES = 700_000;

export interface Seen {
  readonly ingress: string;
  readonly model: string;
  readonly ticket: Ticket;
  /** The input tensors, fetched where they were remote. */
  readonly tensors: readonly Tensor[];
}

/** What the stand does with a ticket: outputs, an error, or nothing yet. */
export type Reaction = readonly Tensor[] | ErrorCode | undefined;

const value = <T>(result: Result<T, unknown>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
};

/** Resolves when the condition holds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > WAIT_MS_MAX) throw new Error(`waited ${WAIT_MS_MAX} ms for ${what}`);
    await sleep(5);
  }
}

export interface StandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Fields of the key's line in the file. */
  readonly key?: object;
  readonly models?: readonly ModelSpec[];
}

export interface MicroReply {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly endpoints: readonly { readonly data: unknown }[];
}

interface Parts {
  readonly directory: string;
  readonly broker: Broker;
  readonly scheduler: Bus;
  readonly worker: Bus;
  readonly admin: Bus;
  readonly store: Store;
}

export class Stand implements AsyncDisposable {
  readonly broker: Broker;
  readonly scheduler: Bus;
  readonly worker: Bus;
  readonly store: Store;
  readonly seen: Seen[] = [];
  readonly cancels: CancelFrame[] = [];
  readonly keysFile: string;
  key = "";
  port = 0;
  /** Default: every output is the input of the same place. */
  onTicket: (seen: Seen) => Reaction = ({ tensors }) => tensors;
  /** Device class that answers carry. */
  device = "emulated";
  /** Models that the stand's worker says are ready. */
  ready: readonly string[] = [];
  loads: SchedulerHeartbeat["loads"] = [];
  /** Where the stand's worker says that it stands. */
  zone: string | undefined;
  beating = true;
  ended: Promise<void> = Promise.resolve();
  readonly #directory: string;
  readonly #admin: Bus;
  readonly #stop = new AbortController();
  readonly #beats: NodeJS.Timeout;
  readonly #fetching = new Map<string, { readonly seen: Omit<Seen, "tensors">; body: Buffer }>();
  #beat = 0;

  static async start(options: StandOptions = {}): Promise<Stand> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-ingress-"));
    const broker = await startBroker({ directory: join(directory, "broker") });
    const connectAs = (user: User, name: string): Promise<Bus> =>
      connectBus({
        servers: [broker.url],
        name,
        seed: broker.seed(user),
        inboxPrefix: inboxPrefix(user),
        log: silent,
      });
    const scheduler = await connectAs("scheduler", SCHEDULER);
    const worker = await connectAs("gpu-worker", WORKER);
    const admin = await connectAs("admin", "admin-1");
    const store = await openStore(admin.connection, { create: true, replicas: 1 });
    const stand = new Stand({ directory, broker, scheduler, worker, admin, store });
    stand.key = await stand.addKey("test", options.key);
    for (const model of options.models ?? []) await stand.push(model);
    await stand.#run(options.env ?? {});
    return stand;
  }

  private constructor(parts: Parts) {
    this.#directory = parts.directory;
    this.broker = parts.broker;
    this.scheduler = parts.scheduler;
    this.worker = parts.worker;
    this.#admin = parts.admin;
    this.store = parts.store;
    this.keysFile = join(parts.directory, "keys.jsonl");
    this.scheduler.subscribe(subjects.ticket(SCHEDULER), (bytes) => this.#heard(bytes));
    this.worker.subscribe(subjects.tensor(WORKER), (bytes) => this.#took(bytes));
    this.#beats = setInterval(() => this.beat(), BEAT_MS);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A request with the stand's key. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization")) headers.set("authorization", `Bearer ${this.key}`);
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** A JSON inference request to a model. */
  infer(model: string, request: unknown, init: RequestInit = {}): Promise<Response> {
    const path = `/v2/models/${model}/infer`;
    return this.fetch(path, { ...init, method: "POST", body: JSON.stringify(request) });
  }

  async addKey(id: string, more: object = {}): Promise<string> {
    const key = `mr_${id}_${randomBytes(32).toString("base64url")}`;
    const hash = createHash("sha256").update(key).digest("hex");
    const line = { id, hash, name: id, createdAt: "2026-01-01T00:00:00Z", ...more };
    await writeFile(this.keysFile, `${JSON.stringify(line)}\n`, { flag: "a" });
    return key;
  }

  /** Puts the version into the registry and makes it the one that answers. */
  async push(spec: ModelSpec, change: Partial<ModelRecord> = {}): Promise<void> {
    const { name, version } = spec;
    value(
      await this.store.registry.update(name, (before) => ({
        ok: true,
        value: {
          name,
          active: version,
          loaded: true,
          latest: version,
          ...(before === undefined ? {} : { previous: before.active }),
          versions: { ...before?.versions, [version]: spec },
          ...change,
        },
      })),
    );
  }

  /** What `nats micro stats ingress` shows. */
  async stats(): Promise<MicroReply> {
    const reply = await this.#admin.connection.request("$SRV.STATS.ingress");
    return reply.json();
  }

  beat(): void {
    if (!this.beating) return;
    const beat = ++this.#beat;
    const loads = this.loads;
    this.scheduler.publish(
      subjects.schedulerHeartbeat(SCHEDULER),
      encodeJson({ v: 1, id: SCHEDULER, incarnation: 1, beat, state: "ready", loads }),
    );
    this.worker.publish(
      subjects.workerHeartbeat(WORKER),
      encodeJson({
        v: 1,
        id: WORKER,
        role: "gpu-worker",
        zone: this.zone,
        incarnation: 1,
        beat,
        state: "ready",
        device: {
          class: "emulated",
          name: "test",
          memoryTotalBytes: 1,
          memoryFreeBytes: 1,
          memorySource: "budget",
        },
        progress: 0,
        inFlight: 0,
        backlogUs: 0,
        assignments: {},
        modelsRevision: 1,
        models: this.ready.map((ref) => ({ ref, state: "ready", bytes: 1 })),
      }),
    );
  }

  /** Answers a ticket, large results in parts. */
  answer(seen: Pick<Seen, "ingress" | "ticket">, reaction: Reaction, by = this.worker): void {
    if (reaction === undefined) return;
    const { seq, attempt } = seen.ticket;
    const subject = subjects.answer(seen.ingress);
    const isError = typeof reaction === "string";
    const body = isError ? Buffer.from(`${reaction} it is`) : encodeTensors(reaction);
    const parted = body.length > PART_BYTES;
    for (let offset = parted ? 0 : body.length; offset < body.length; offset += PART_BYTES) {
      const bytes = body.subarray(offset, offset + PART_BYTES);
      const part = { from: WORKER, seq, attempt, offset, total: body.length, bytes };
      by.publish(subject, encodePart(part));
    }
    const answer: Answer = {
      seq,
      attempt,
      error: isError ? reaction : undefined,
      queueUs: 100,
      computeUs: 200,
      batchRows: seen.ticket.rows,
      parted,
      bodyBytes: body.length,
      body: parted ? new Uint8Array(0) : body,
    };
    by.publish(subject, encodeAnswers({ from: WORKER, device: this.device, answers: [answer] }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beats);
    this.stop();
    await this.ended;
    for (const bus of [this.scheduler, this.worker, this.#admin]) await bus.drain();
    await this.broker.stop();
    await rm(this.#directory, { recursive: true });
  }

  /** Tells the ingress to end. */
  stop(): void {
    this.#stop.abort();
  }

  async #run(env: Readonly<Record<string, string>>): Promise<void> {
    const config = readConfig(fields, {
      MILLRACE_ID: "ingress-1",
      MILLRACE_NATS_URL: this.broker.url,
      MILLRACE_NATS_SEED_FILE: this.broker.seedFile("ingress"),
      MILLRACE_LOG_LEVEL: "error",
      MILLRACE_HTTP_PORT: "0",
      MILLRACE_API_KEYS_FILE: this.keysFile,
      MILLRACE_DRAIN_MS: "1000",
      ...env,
    });
    const listening = (port: number): void => {
      this.port = port;
    };
    this.ended = runIngress({ config, signal: this.#stop.signal, listening });
    await Promise.race([until("the ingress", () => this.port !== 0), this.ended]);
    const isReady = async (): Promise<boolean> => (await this.fetch("/v2/health/ready")).ok;
    while (!(await isReady())) await sleep(5);
  }

  #heard(bytes: Uint8Array): void {
    if (frameKind(bytes) === "cancel") {
      this.cancels.push(value(decodeCancel(bytes)));
      return;
    }
    const { ingress, model, tickets } = value(decodeTickets(bytes));
    for (const ticket of tickets) {
      const seen = { ingress, model, ticket };
      if (ticket.remote) this.#fetch(seen);
      else this.#react(seen, bodyOf(ticket.tail));
    }
  }

  #fetch(seen: Omit<Seen, "tensors">): void {
    const { seq, attempt, bodyBytes } = seen.ticket;
    this.#fetching.set(`${seq} ${attempt}`, { seen, body: Buffer.alloc(bodyBytes) });
    const frame = encodeFetch({ worker: WORKER, wants: [{ seq, attempt }] });
    this.worker.publish(subjects.fetch(seen.ingress), frame);
  }

  #took(bytes: Uint8Array): void {
    const part = value(decodePart(bytes));
    const fetching = this.#fetching.get(`${part.seq} ${part.attempt}`);
    if (fetching === undefined) return;
    fetching.body.set(part.bytes, part.offset);
    if (part.offset + part.bytes.length < part.total) return;
    this.#fetching.delete(`${part.seq} ${part.attempt}`);
    this.#react(fetching.seen, fetching.body);
  }

  #react(ticket: Omit<Seen, "tensors">, body: Uint8Array): void {
    const seen = { ...ticket, tensors: value(decodeTensors(body)) };
    this.seen.push(seen);
    this.answer(seen, this.onTicket(seen));
  }
}

const common = {
  version: 1,
  digest: "0".repeat(64),
  bytes: 1,
  provenance: { source: "made", upstreamName: "made", licence: "Apache-2.0" },
  createdAt: "2026-01-01T00:00:00Z",
};

/** Rows of 4 floats to rows of 4 floats. */
export const echo: ModelSpec = {
  ...common,
  name: "echo",
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
  maxBatch: 8,
};

/** Bytes of any length back, one request at a time. */
export const blob: ModelSpec = {
  ...common,
  name: "blob",
  inputs: [{ name: "x", datatype: "UINT8", shape: [-1] }],
  outputs: [{ name: "y", datatype: "UINT8", shape: [-1] }],
  maxBatch: 0,
};

export const row = (...data: number[]): object => ({
  inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data }],
});

/** Header and body of a request with one binary input. */
export function binary(
  input: { readonly name: string; readonly datatype: string; readonly shape: readonly number[] },
  bytes: Uint8Array,
  parameters: object = { binary_data_output: true },
): { readonly headers: Record<string, string>; readonly body: Uint8Array<ArrayBuffer> } {
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: bytes.length } }],
      parameters,
    }),
  );
  return {
    headers: { "inference-header-content-length": String(json.length) },
    body: new Uint8Array(Buffer.concat([json, bytes])),
  };
}

/** The binary tensors behind the JSON of a response. */
export async function binaryOf(response: Response): Promise<Buffer> {
  const bytes = Buffer.from(await response.arrayBuffer());
  const header = response.headers.get("inference-header-content-length");
  return bytes.subarray(Number(present(header, `a header length with ${bytes.toString()}`)));
}
