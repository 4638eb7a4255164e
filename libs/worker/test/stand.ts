/**
 * A worker on a real broker, with the test in the places of its scheduler and its ingresses: it
 * sends assignments and bodies, and collects answers, done frames and heartbeats.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import {
  type Answer,
  type AssignmentFrame,
  type AssignmentItem,
  checkValue,
  decodeAnswers,
  decodeDone,
  decodeFetch,
  decodeJson,
  decodePart,
  type DoneFrame,
  encodeAssignment,
  encodeJson,
  encodePart,
  type FetchFrame,
  frameKind,
  type ModelSpec,
  modelRef,
  type PartFrame,
  subjects,
  TRACE_BYTES,
  type WorkerHeartbeat,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import { readConfig } from "@millrace/runtime";
import { present, type Result } from "@millrace/std";
import { openStore } from "@millrace/store";
import { runWorker, workerFields } from "../src/index.ts";
import type { TestModel } from "./models.ts";

export const silent = { debug() {}, info() {}, warn() {}, error() {} };
const WORKER = "gpu-worker-1";

const value = <T>(result: Result<T, unknown>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
};

export class Stand implements AsyncDisposable {
  readonly broker: Broker;
  readonly scheduler: Bus;
  readonly ingress: Bus;
  readonly inspector: Bus;
  readonly answers = new Map<string, Answer & { readonly ingress: string }>();
  readonly dones: DoneFrame[] = [];
  readonly fetches: FetchFrame[] = [];
  readonly parts: PartFrame[] = [];
  readonly beats: WorkerHeartbeat[] = [];
  readonly ended: Promise<void>;
  readonly #directory: string;
  readonly #admin: Bus;
  readonly #stop = new AbortController();
  #nextId = 1;

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Stand> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-worker-"));
    const broker = await startBroker({ directory: join(directory, "broker") });
    const connectAs = (user: User): Promise<Bus> =>
      connectBus({
        servers: [broker.url],
        name: `${user}-1`,
        seed: broker.seed(user),
        inboxPrefix: inboxPrefix(user),
        log: silent,
      });
    const users = ["scheduler", "ingress", "inspector", "admin"] as const;
    const [scheduler, ingress, inspector, admin] = await Promise.all(users.map(connectAs));
    const buses = [scheduler, ingress, inspector, admin].map((bus) => present(bus, "a bus"));
    return new Stand(directory, broker, buses as [Bus, Bus, Bus, Bus], env);
  }

  private constructor(
    directory: string,
    broker: Broker,
    buses: [Bus, Bus, Bus, Bus],
    env: Readonly<Record<string, string>>,
  ) {
    this.#directory = directory;
    this.broker = broker;
    [this.scheduler, this.ingress, this.inspector, this.#admin] = buses;
    this.#listen();
    const config = readConfig(workerFields("gpu-worker", "emulated"), {
      MILLRACE_ID: WORKER,
      MILLRACE_NATS_URL: broker.url,
      MILLRACE_NATS_SEED_FILE: broker.seedFile("gpu-worker"),
      MILLRACE_LOG_LEVEL: "error",
      MILLRACE_THREADS: "1",
      MILLRACE_DEVICE_MEMORY: "256MiB",
      MILLRACE_CACHE_DIR: join(directory, "cache"),
      ...env,
    });
    this.ended = runWorker({ role: "gpu-worker", config, signal: this.#stop.signal });
  }

  stop(): void {
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.ended;
    for (const bus of [this.scheduler, this.ingress, this.inspector, this.#admin]) {
      await bus.drain();
    }
    await this.broker.stop();
    await rm(this.#directory, { recursive: true });
  }

  /** Stores the model and has the worker load it; resolves when it is ready or failed. */
  async load({ spec: unstored, file }: TestModel, stored = file): Promise<ModelSpec> {
    const store = await openStore(this.#admin.connection, { create: true, replicas: 1 });
    const digest = value(await store.blobs.put(stored));
    const spec: ModelSpec = { ...unstored, digest };
    const command = { v: 1, kind: "load", spec, by: "scheduler-1" };
    await until(() => this.beats.length > 0);
    this.scheduler.publish(subjects.command(WORKER), encodeJson(command));
    const ref = modelRef(spec.name, spec.version);
    await until(() => ["ready", "failed"].includes(this.stateOf(ref) ?? ""));
    return spec;
  }

  stateOf(ref: string): string | undefined {
    const beat = this.beats.findLast(({ models }) => models !== undefined);
    return beat?.models?.find((resident) => resident.ref === ref)?.state;
  }

  assign(
    spec: ModelSpec,
    items: readonly AssignmentItem[],
    fields: Partial<AssignmentFrame> = {},
  ): void {
    const frame: AssignmentFrame = {
      scheduler: "scheduler-1",
      id: this.#nextId++,
      incarnation: present(this.beats.at(-1), "a heartbeat").incarnation,
      model: modelRef(spec.name, spec.version),
      tier: 1,
      startWithinUs: 5_000_000,
      expectedUs: 1_000,
      items,
      ...fields,
    };
    this.scheduler.publish(subjects.assign(WORKER), encodeAssignment(frame));
  }

  /** Sends a body in parts of `bytesMax`, or says that it is gone. */
  sendBody(
    ingress: string,
    seq: number,
    body: Uint8Array | undefined,
    bytesMax = 960 * 1024,
  ): void {
    const send = (offset: number, total: number, bytes: Uint8Array): void => {
      const frame = { from: ingress, seq, attempt: 0, offset, total, bytes };
      this.ingress.publish(subjects.tensor(WORKER), encodePart(frame));
    };
    if (body === undefined) send(0, 0, new Uint8Array(0));
    for (let at = 0; at < (body?.length ?? 0); at += bytesMax) {
      send(at, body?.length ?? 0, body?.subarray(at, at + bytesMax) ?? new Uint8Array(0));
    }
  }

  /** Resolves when all of these are answered. */
  async answered(ingress: string, seqs: readonly number[]): Promise<void> {
    await until(() => seqs.every((seq) => this.answers.has(`${ingress}/${seq}`)));
  }

  answer(ingress: string, seq: number): Answer & { readonly ingress: string } {
    return present(this.answers.get(`${ingress}/${seq}`), `the answer to ${ingress}/${seq}`);
  }

  #listen(): void {
    this.scheduler.subscribe(subjects.workerHeartbeat(WORKER), (bytes) => {
      this.beats.push(value(decodeJson(workerHeartbeatSchema, bytes)));
      value(checkValue(workerHeartbeatSchema, this.beats.at(-1)));
    });
    this.scheduler.subscribe(subjects.done("scheduler-1"), (bytes) => {
      this.dones.push(value(decodeDone(bytes)));
    });
    for (const ingress of ["ingress-1", "ingress-2"]) {
      this.ingress.subscribe(subjects.answer(ingress), (bytes) => this.#answered(ingress, bytes));
      this.ingress.subscribe(subjects.fetch(ingress), (bytes) => {
        this.fetches.push(value(decodeFetch(bytes)));
      });
    }
  }

  #answered(ingress: string, bytes: Uint8Array): void {
    if (frameKind(bytes) === "part") {
      this.parts.push(value(decodePart(bytes)));
      return;
    }
    for (const answer of value(decodeAnswers(bytes)).answers) {
      const key = `${ingress}/${answer.seq}`;
      if (this.answers.has(key)) throw new Error(`${key} was answered twice`);
      this.answers.set(key, { ingress, ...answer });
    }
  }
}

/** Waits for something that happens elsewhere. */
export async function until(condition: () => boolean): Promise<void> {
  const lastMs = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > lastMs) throw new Error(`never came: ${condition.toString()}`);
    await sleep(2);
  }
}

/** An item whose body is inline, or only announced. */
export function item(
  seq: number,
  body: Uint8Array,
  fields: Partial<AssignmentItem> = {},
): AssignmentItem {
  const remote = fields.remote ?? false;
  const tail = new Uint8Array(TRACE_BYTES + (remote ? 0 : body.length));
  if (!remote) tail.set(body, TRACE_BYTES);
  return {
    ingress: "ingress-1",
    seq,
    attempt: 0,
    tier: 1,
    remote,
    rows: 1,
    length: 0,
    remainingUs: 10_000_000,
    queuedUs: 0,
    bodyBytes: body.length,
    tail,
    ...fields,
  };
}
