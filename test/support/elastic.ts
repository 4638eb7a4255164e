/** An elastic fleet of processes for tests: an agent that starts workers, and a forecaster. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dayPrices, renderPrices, serveFleet, UP_AGENT } from "@millrace/ctl";
import {
  DEFAULT_BACKOFF,
  InstanceFleet,
  memberVariables,
  nodeService,
  ProcessHost,
  supervise,
  type Supervised,
} from "@millrace/fleet";
import { type Cluster, EMULATED } from "./cluster.ts";
import { ROOT } from "./workspace.ts";

const STOP_MS = 10_000;
const LINES_MAX = 2_000;

export interface ElasticOptions {
  /** How many times as fast as the machine's the forecaster's clock is. */
  readonly scale: number;
  /** Of workers, over the emulated device's. */
  readonly workerEnv?: Readonly<Record<string, string>>;
}

/** Prices and workers of this machine; what was started ends with it. */
export class ElasticFleet implements AsyncDisposable {
  readonly directory: string;
  readonly fleet: InstanceFleet;
  readonly #cluster: Cluster;
  readonly #scale: number;
  /** The forecaster's clock began here, for all of them. */
  readonly beganMs = Date.now();
  #forecaster: Supervised | undefined;
  readonly #lines: string[] = [];

  private constructor(cluster: Cluster, directory: string, options: ElasticOptions) {
    this.#cluster = cluster;
    this.#scale = options.scale;
    this.directory = directory;
    this.fleet = openFleet(cluster, join(directory, "cache"), options.workerEnv ?? {});
  }

  static async open(cluster: Cluster, options: ElasticOptions): Promise<ElasticFleet> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-fleet-"));
    const prices = renderPrices(dayPrices(options.scale));
    await writeFile(join(directory, "prices.json"), prices);
    return new ElasticFleet(cluster, directory, options);
  }

  /** What the forecaster wrote, all of them. */
  get log(): string {
    return this.#lines.join("\n");
  }

  /** Workers that run or start. */
  async count(): Promise<number> {
    const listed = await this.fleet.list();
    return listed.ok ? listed.value.members.filter(({ state }) => state !== "gone").length : 0;
  }

  async file(name: string, content: string): Promise<string> {
    const path = join(this.directory, name);
    await writeFile(path, content);
    return path;
  }

  /** In place of the forecaster before; resolves when it is ready. */
  async forecaster(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#forecaster?.stop(STOP_MS);
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    const { broker } = this.#cluster;
    this.#forecaster = supervise({
      name: "forecaster-1",
      backoff: DEFAULT_BACKOFF,
      ...nodeService(join(ROOT, "services", "forecaster", "src", "main.ts"), {
        MILLRACE_ID: "forecaster-1",
        MILLRACE_NATS_URL: broker.url,
        MILLRACE_NATS_SEED_FILE: broker.seedFile("forecaster"),
        MILLRACE_METRICS_PORT: "0",
        MILLRACE_LOG_LEVEL: "info",
        MILLRACE_FLEET: "agent",
        MILLRACE_FLEET_AGENT: UP_AGENT,
        MILLRACE_PRICE_BOOK: join(this.directory, "prices.json"),
        MILLRACE_ELASTIC_INTERVAL_MS: "200",
        MILLRACE_CLOCK: `${this.beganMs},${this.beganMs},${this.#scale}`,
        ...env,
      }),
      onLine: (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LINES_MAX) this.#lines.shift();
        if (line.includes('"msg":"ready"')) resolve();
      },
    });
    await ready;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forecaster?.stop(STOP_MS);
    await this.fleet[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Processes of this machine, as an agent starts and ends them. */
function openFleet(
  { broker, bus }: Cluster,
  cacheDirectory: string,
  env: Readonly<Record<string, string>>,
): InstanceFleet {
  const pools = dayPrices(1).offers.map(({ kind, zone, lifecycle }) => ({ kind, zone, lifecycle }));
  const launch = (id: string, pool: (typeof pools)[number]) => ({
    backoff: DEFAULT_BACKOFF,
    ...nodeService(join(ROOT, "services", "gpu-worker", "src", "main.ts"), {
      ...EMULATED["gpu-worker"],
      ...memberVariables(id, pool),
      MILLRACE_NATS_URL: broker.url,
      MILLRACE_NATS_SEED_FILE: broker.seedFile("gpu-worker"),
      MILLRACE_DEVICE_MEMORY: "1GiB",
      MILLRACE_METRICS_PORT: "0",
      MILLRACE_LOG_LEVEL: "warn",
      MILLRACE_CACHE_DIR: cacheDirectory,
      ...env,
    }),
  });
  const nowUs = (): number => Math.floor(performance.now() * 1000);
  const fleet = new InstanceFleet({ host: new ProcessHost({ launch }), pools, nowUs });
  serveFleet(bus, fleet);
  return fleet;
}
