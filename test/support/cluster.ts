/**
 * A real cluster for tests and the benchmark: a broker and every service as a process of its own,
 * on loopback and free ports, with its files in a folder that goes when it is disposed.
 */

import { appendFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Broker,
  type Brokers,
  inboxPrefix,
  startBroker,
  startBrokers,
  type User,
} from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { inspectModel } from "@millrace/engine";
import type { Stage } from "@millrace/faults";
import { DEFAULT_BACKOFF, nodeService, supervise, type Supervised } from "@millrace/fleet";
import { openStorage } from "@millrace/history";
import type { ModelSpec, PushOptions } from "@millrace/protocol";
import { present } from "@millrace/std";
import { activate, addVersion, digestOf, setLoaded, type Store } from "@millrace/store";
import { openStage, startChaos, updateBrokers } from "./chaos.ts";
import { createKey } from "./keys.ts";
import { silent } from "./log.ts";
import { freePorts } from "./ports.ts";
import { mustSucceed } from "./result.ts";
import { ROOT } from "./workspace.ts";

export const ROLES = ["scheduler", "ingress", "gpu-worker", "cpu-worker"] as const;
export type Role = (typeof ROLES)[number];

/** A model to push: its file, and what the file does not say. `@millrace/examples` makes such. */
export interface ClusterModel {
  readonly file: Uint8Array;
  readonly options: PushOptions;
}

export interface ClusterOptions {
  /** How many of each; by default one ingress, two schedulers, one gpu-worker, one cpu-worker. */
  readonly counts?: Partial<Readonly<Record<Role, number>>>;
  /** Variables for every process of a role, over the cluster's own. */
  readonly env?: Partial<Readonly<Record<Role, Readonly<Record<string, string>>>>>;
  readonly models?: readonly ClusterModel[];
  readonly logLevel?: string;
  /** Three NATS servers, and streams on all of them. */
  readonly ha?: boolean;
  /** A fault proxy between the members and NATS, and a chaos-monkey that takes orders. */
  readonly chaos?: boolean;
}

/** A run takes one core, and no GPU is looked for unless `MILLRACE_TEST_DEVICE` names one. */
const { MILLRACE_TEST_DEVICE: DEVICE = "emulated" } = process.env;
export const EMULATED = {
  "gpu-worker": { MILLRACE_DEVICE: DEVICE, MILLRACE_THREADS: "1" },
  "cpu-worker": { MILLRACE_THREADS: "1" },
} as const;

const COUNTS = { scheduler: 2, ingress: 1, "gpu-worker": 1, "cpu-worker": 1 };
const READY_MS_MAX = 60_000;
const POLL_MS = 25;
const LINES_MAX = 200;
const STOP_GRACE_MS = 10_000;
/** Tests end processes often: that must not make their restarts later and later. */
const BACKOFF = { ...DEFAULT_BACKOFF, delayMsMax: 200 };
/** A folder for all that the processes write, and how much that is: to look into a failure. */
const { MILLRACE_TEST_LOGS: LOGS, MILLRACE_LOG_LEVEL: LEVEL = "warn" } = process.env;
const INSPECT_LIMITS = { timeoutMs: 60_000, memoryBytesMax: 8 * 1024 ** 3 };

interface Member {
  readonly child: Supervised;
  readonly lines: string[];
}

/** Starts everything, pushes the models, and resolves when the ingress serves them. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const natsDirectory = join(directory, "nats");
  let brokerChanged = (): void => undefined;
  const onEvent = (): void => brokerChanged();
  const broker = stack.use(
    await (options.ha === true ? startBrokers : startBroker)({ directory: natsDirectory, onEvent }),
  );
  const servers = broker.url.split(",");
  const bus = stack.use(
    await connectBus({
      servers,
      name: `admin-${process.pid}`,
      seed: broker.seed("admin"),
      inboxPrefix: inboxPrefix("admin"),
      log: silent,
    }),
  );
  const stored = { serverCount: servers.length, report: () => undefined };
  const store = await openStorage(bus.connection, stored);
  const onBroker = (told: () => void): void => {
    brokerChanged = told;
    told();
  };
  const launch: Launch = { ...options, directory, broker, bus, store, onBroker };
  const cluster = stack.use(await Cluster.start(launch));
  for (const model of options.models ?? []) await cluster.push(model);
  await cluster.ready();
  for (const { options: pushed } of options.models ?? []) await cluster.modelReady(pushed.name);
  cluster.own(stack.move());
  return cluster;
}

interface Launch extends ClusterOptions {
  readonly directory: string;
  readonly broker: Broker | Brokers;
  readonly bus: Bus;
  readonly store: Store;
  /** Takes who is told when a broker starts or ends; told at once as well. */
  readonly onBroker: (told: () => void) => void;
}

export class Cluster implements AsyncDisposable {
  /** NATS: of several servers the first. */
  readonly broker: Broker;
  /** The servers of a cluster that was started with `ha`. */
  readonly brokers: Brokers | undefined;
  /** As `admin`. */
  readonly bus: Bus;
  readonly store: Store;
  readonly key: string;
  readonly host = "127.0.0.1";
  /** Of the ingresses, in the order of their ids. */
  readonly ports: readonly number[];
  /** Where faults were wanted. */
  readonly stage: Stage | undefined;
  readonly #members: ReadonlyMap<string, Member>;
  readonly #natsUrl: string;
  readonly #connections: Bus[] = [];
  #owned: AsyncDisposable | undefined;

  private constructor(
    launch: Launch,
    key: string,
    ports: readonly number[],
    members: ReadonlyMap<string, Member>,
    stage: Stage | undefined,
  ) {
    const { broker } = launch;
    this.brokers = "servers" in broker ? broker : undefined;
    this.broker = "servers" in broker ? present(broker.servers[0], "a server") : broker;
    this.#natsUrl = broker.url;
    this.bus = launch.bus;
    this.store = launch.store;
    this.key = key;
    this.ports = ports;
    this.stage = stage;
    this.#members = members;
  }

  static async start(launch: Launch): Promise<Cluster> {
    const counts = { ...COUNTS, ...launch.counts };
    const ports = await freePorts(counts.ingress);
    const keysFile = join(launch.directory, "keys.jsonl");
    const key = await createKey(keysFile);
    const members = new Map<string, Member>();
    const planned = ROLES.flatMap((role) =>
      Array.from({ length: counts[role] }, (_, at) => ({ role, at, id: `${role}-${at + 1}` })),
    );
    const { broker, directory } = launch;
    const stage =
      launch.chaos === true ? await openStage({ broker, directory, members: planned }) : undefined;
    for (const { role, at, id } of planned) {
      const env = {
        MILLRACE_ID: id,
        MILLRACE_NATS_URL: launch.broker.url,
        MILLRACE_NATS_SEED_FILE: launch.broker.seedFile(role),
        MILLRACE_LOG_LEVEL: launch.logLevel ?? LEVEL,
        MILLRACE_METRICS_PORT: "0",
        MILLRACE_HTTP_PORT: String(ports[at] ?? 0),
        MILLRACE_API_KEYS_FILE: keysFile,
        MILLRACE_CACHE_DIR: join(launch.directory, "cache"),
        MILLRACE_DEVICE_MEMORY: "1GiB",
        ...stage?.memberEnv(id),
        ...launch.env?.[role],
      };
      const onPid = (pid: number | undefined): void => stage?.update(id, pid);
      members.set(id, startMember(id, serviceEntry(role), env, onPid));
    }
    if (stage !== undefined) enableChaos(launch, stage, members);
    return new Cluster(launch, key, ports, members, stage);
  }

  get port(): number {
    return this.ports[0] ?? 0;
  }

  get url(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** For the `millrace` command, or any other client. */
  get environment(): Readonly<Record<string, string>> {
    return {
      MILLRACE_URL: this.url,
      MILLRACE_API_KEY: this.key,
      MILLRACE_NATS_URL: this.#natsUrl,
      MILLRACE_NATS_SEED_FILE: this.broker.seedFile("admin"),
    };
  }

  /**
   * A connection with the rights of a user, which sees what that user may; it ends with the
   * cluster.
   */
  async connect(user: User): Promise<Bus> {
    const bus = await connectBus({
      servers: this.#natsUrl.split(","),
      name: `${user}-test-${process.pid}`,
      seed: this.broker.seed(user),
      inboxPrefix: inboxPrefix(user),
      log: silent,
    });
    this.#connections.push(bus);
    return bus;
  }

  get ids(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** Undefined between two runs of the process. */
  pid(id: string): number | undefined {
    return this.#member(id).child.pid;
  }

  /** How often it was started again. */
  restarts(id: string): number {
    return this.#member(id).child.restarts;
  }

  /** The last lines of its log. */
  lines(id: string): readonly string[] {
    return this.#member(id).lines;
  }

  /** Sends a signal; a process that ends of it is started again. */
  kill(id: string, signal: NodeJS.Signals = "SIGKILL"): boolean {
    return this.#member(id).child.kill(signal);
  }

  /** Ends the process for good, in good order. */
  async stop(id: string): Promise<void> {
    await this.#member(id).child.stop(STOP_GRACE_MS);
  }

  /** A request to the first ingress with the cluster's key. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("Authorization")) headers.set("Authorization", `Bearer ${this.key}`);
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** Adds the model's file as its next version, which answers from then on. */
  async push({ file, options }: ClusterModel): Promise<ModelSpec> {
    const { inputs, outputs } = mustSucceed(await inspectModel(file, INSPECT_LIMITS));
    mustSucceed(await this.store.blobs.put(file));
    const draft = {
      ...options,
      digest: await digestOf(file),
      bytes: file.length,
      inputs: [...inputs],
      outputs: [...outputs],
      createdAt: new Date().toISOString(),
    };
    const record = mustSucceed(
      await this.store.registry.update(options.name, (before) => {
        const added = addVersion(before, draft);
        if (!added.ok) return added;
        return activate(added.value, added.value.latest ?? added.value.active);
      }),
    );
    const { active, versions } = present(record, options.name);
    return present(versions[active], `version ${active}`);
  }

  async setLoaded(name: string, loaded: boolean): Promise<void> {
    mustSucceed(
      await this.store.registry.update(name, (record) => setLoaded(present(record, name), loaded)),
    );
  }

  /** Resolves when every ingress answers. */
  async ready(): Promise<void> {
    for (const port of this.ports) {
      const url = `http://${this.host}:${port}/v2/health/live`;
      await this.until(`an answer of ${url}`, async () => (await fetch(url)).ok);
    }
  }

  /** Resolves when the model is ready to answer, or no longer is. */
  async modelReady(name: string, ready = true): Promise<void> {
    await this.until(`${name} to be ${ready ? "ready" : "unloaded"}`, async () => {
      const response = await this.fetch(`/v2/models/${name}/ready`);
      return response.ok === ready;
    });
  }

  /** @throws Error with the processes' last words when the condition is not met in time. */
  async until(
    what: string,
    condition: () => boolean | Promise<boolean>,
    msMax: number = READY_MS_MAX,
  ): Promise<void> {
    const lastAtMs = performance.now() + msMax;
    for (;;) {
      this.#check();
      if (await Promise.resolve(condition()).catch(() => false)) return;
      if (performance.now() > lastAtMs) throw this.#failure(`waited ${msMax} ms for ${what}`);
      await sleep(POLL_MS);
    }
  }

  /** What was opened before the processes is closed after them. */
  own(resources: AsyncDisposable): void {
    this.#owned = resources;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const owned = this.#owned;
    this.#owned = undefined;
    if (owned !== undefined) return owned[Symbol.asyncDispose]();
    await Promise.all(this.#connections.map((bus) => bus[Symbol.asyncDispose]()));
    await Promise.all([...this.#members.values()].map(({ child }) => child.stop(STOP_GRACE_MS)));
  }

  #member(id: string): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no ${id} among ${this.ids.join(", ")}`);
    return member;
  }

  /** A process that will never run is not waited for. */
  #check(): void {
    for (const [id, { child }] of this.#members) {
      if (child.end !== undefined && child.end.reason !== "stopped") {
        throw this.#failure(`${id} ${child.end.reason}: ${child.end.detail}`);
      }
    }
  }

  #failure(reason: string): Error {
    const words = [...this.#members].flatMap(([id, { lines }]) =>
      lines.slice(-10).map((line) => `  ${id}: ${line}`),
    );
    return new Error([reason, ...words].join("\n"));
  }
}

const serviceEntry = (role: string): string => join(ROOT, "services", role, "src", "main.ts");

/** On top of the members, which know their way through the proxy already. */
function enableChaos(launch: Launch, stage: Stage, members: Map<string, Member>): void {
  const { broker, bus, logLevel = LEVEL } = launch;
  launch.onBroker(() => updateBrokers(stage, broker));
  startChaos({
    broker,
    bus,
    stage,
    logLevel,
    start: (id, entry, env) => void members.set(id, startMember(id, entry, env)),
    childOf: (id) => members.get(id)?.child,
    entryOf: serviceEntry,
  });
}

function startMember(
  id: string,
  entry: string,
  env: Readonly<Record<string, string>>,
  onPid: (pid: number | undefined) => void = () => undefined,
): Member {
  const lines: string[] = [];
  const child = supervise({
    name: id,
    ...nodeService(entry, env),
    backoff: BACKOFF,
    onEvent: (event) => onPid(event.type === "started" ? event.pid : undefined),
    onLine: (line) => {
      lines.push(line);
      if (lines.length > LINES_MAX) lines.shift();
      if (LOGS !== undefined) appendFileSync(join(LOGS, `${id}.log`), `${line}\n`);
    },
  });
  return { child, lines };
}
