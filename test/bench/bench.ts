/** What the scenarios share: the load generator, the cluster, and rounds of floor and cluster. */

import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchModelName } from "@millrace/examples";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { Load, type LoadFigures } from "./load.ts";
import type { BenchModel } from "./models.ts";
import { inferOnce, inferRequest, requestBytes, type Target } from "./requests.ts";
import type { Row } from "./rows.ts";

export interface Scenario {
  /** What `--only` names. */
  readonly name: string;
  run(bench: Bench): Promise<readonly Row[]>;
}

/** What runs the models: of the cluster, of the floor, and of onnxruntime alone. */
export const BENCH_DEVICES = ["cpu", "cuda", "webgpu"] as const;
export type BenchDevice = (typeof BENCH_DEVICES)[number];

/** What is measured has compiled by then what it runs. */
export const COMPILE_MS = 4_000;
const WARM_MS = 500;

export class Bench implements AsyncDisposable {
  readonly directory: string;
  /** Of one run of onnxruntime: half of the machine, the other half carries the requests. */
  readonly threads = Math.max(1, availableParallelism() >> 1);
  readonly device: BenchDevice;
  readonly say: (line: string) => void;
  readonly #models: readonly BenchModel[];
  readonly #stack: AsyncDisposableStack;
  #load: Promise<Load> | undefined;
  #cluster: Promise<Cluster> | undefined;

  private constructor(
    directory: string,
    models: readonly BenchModel[],
    device: BenchDevice,
    say: (line: string) => void,
    stack: AsyncDisposableStack,
  ) {
    this.directory = directory;
    this.device = device;
    this.#models = models;
    this.say = say;
    this.#stack = stack;
  }

  static async open(
    models: readonly BenchModel[],
    device: BenchDevice,
    say: (line: string) => void,
  ): Promise<Bench> {
    const directory = await mkdtemp(join(tmpdir(), "millrace-bench-"));
    const stack = new AsyncDisposableStack();
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    return new Bench(directory, models, device, say, stack);
  }

  model(name: BenchModelName): BenchModel {
    const model = this.#models.find((each) => each.name === name);
    if (model === undefined) throw new Error(`no model ${name} in the benchmark`);
    return model;
  }

  /** The role of the one worker. */
  get workerRole(): "cpu-worker" | "gpu-worker" {
    return this.device === "cpu" ? "cpu-worker" : "gpu-worker";
  }

  /** As many processes as the floor has: one ingress, one scheduler, one worker. */
  cluster(): Promise<Cluster> {
    this.#cluster ??= this.#startCluster();
    return this.#cluster;
  }

  /** Closed loop; failures are said, and are not counted as throughput. */
  async load(
    target: Target,
    model: BenchModel,
    connections: number,
    runMs: number,
  ): Promise<LoadFigures> {
    this.#load ??= Load.start().then((load) => this.#stack.use(load));
    const { host, port } = target;
    const request = requestBytes(target, inferRequest(target, model));
    const load = await this.#load;
    const figures = await load.run({ host, port, request, connections, warmMs: WARM_MS, runMs });
    if (figures.failures > 0) {
      this.say(`${figures.failures} requests failed, the first with ${figures.firstFailure}`);
    }
    return figures;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #startCluster(): Promise<Cluster> {
    this.say("starting the cluster");
    const cluster = await startCluster({
      counts: { ingress: 1, scheduler: 1, "cpu-worker": 0, "gpu-worker": 0, [this.workerRole]: 1 },
      env: {
        [this.workerRole]: { MILLRACE_DEVICE: this.device, MILLRACE_THREADS: String(this.threads) },
      },
      models: this.#models,
    });
    return this.#stack.use(cluster);
  }
}

/** Measures the two in turn, so that both meet the same moods of the machine. */
export async function inTurns<A, B>(
  rounds: number,
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<readonly { readonly floor: A; readonly value: B }[]> {
  const pairs: { floor: A; value: B }[] = [];
  for (let round = 0; round < rounds; round++) {
    pairs.push({ floor: await first(), value: await second() });
  }
  return pairs;
}

/** @throws Error when the two do not answer the same. */
export async function checkSame(one: Target, other: Target, model: BenchModel): Promise<void> {
  const [expected, actual] = await Promise.all([inferOnce(one, model), inferOnce(other, model)]);
  if (!expected.equals(actual)) throw new Error(`${model.name}: the answers differ`);
}
