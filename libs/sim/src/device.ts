/**
 * A simulated device and its engine: it takes time and memory as drawn for each model, gives every
 * input back as its output, and fails the way devices fail.
 */

import type { Loaded, RunItem, RunResult } from "@millrace/executing";
import {
  batchBuckets,
  type Device,
  fault,
  type Fault,
  modelRef,
  type ModelSpec,
  type Tier,
} from "@millrace/protocol";
import { present, type Random } from "@millrace/std";
import type { BlobCache } from "./blob-cache.ts";
import { outputOf, requestOfBody } from "./bodies.ts";
import type { ModelPlan, WorkerPlan } from "./scenario.ts";
import type { World } from "./world.ts";

const UNLOAD_US = 3_000;
const STRAGGLE = 10;
const POISON = fault("EXECUTION_FAILED", "the input has no output");
const FATAL = fault("EXECUTION_FAILED", "the device is lost");
const FULL = fault("OUT_OF_MEMORY", "no memory left on the device");
const NOT_BEGUN = fault("STALE_ASSIGNMENT", "the run did not begin");
/** Part of the killers that end the process; the others poison its device. */
const CRASHES = 0.5;

/** A run that the device was handed. */
export interface HandedRun {
  readonly spec: ModelSpec;
  readonly items: readonly RunItem[];
  readonly tier: Tier;
  /** In the simulation's time. */
  readonly startByUs: number;
  /** Of a batch of which more is to run. */
  readonly partial: boolean;
  /** It is on now. */
  readonly began: () => void;
  readonly ended: (result: RunResult) => void;
}

export class SimulatedDevice {
  readonly #world: World;
  readonly #plan: WorkerPlan;
  readonly #random: Random;
  readonly #cache: BlobCache;
  readonly #crash: () => void;
  readonly #loaded = new Map<string, { readonly bytes: number; readonly digest: string }>();
  /** Those that wait, in their order, and whether one is on. */
  readonly #waiting: HandedRun[] = [];
  #busy = false;
  #paused = false;
  /** The next run loses the device. */
  #isLost = false;
  #hangs: "never" | "next" | { readonly ended: (result: RunResult) => void } = "never";

  /**
   * Somebody else takes the memory that is needed beyond what models have: that of loads and of
   * runs of several, or that of all runs.
   */
  full: "no" | "for several" | "for all" = "no";
  /** Times what runs take now. */
  slowed = 1;

  /** @param crash ends the process, as an input can that brings the engine down. */
  constructor(world: World, plan: WorkerPlan, cache: BlobCache, crash: () => void) {
    this.#world = world;
    this.#plan = plan;
    this.#cache = cache;
    this.#crash = crash;
    this.#random = world.random.fork();
  }

  get hangs(): boolean {
    return this.#hangs !== "never";
  }

  /** The next run does not end by itself. */
  hang(): void {
    if (this.#hangs === "never") this.#hangs = "next";
  }

  /** But for a run that hangs. */
  heal(): void {
    this.full = "no";
    this.slowed = 1;
    this.#isLost = false;
  }

  /** The next run loses the device. */
  lose(): void {
    this.#isLost = true;
  }

  /** What hangs fails. */
  unhang(): void {
    const hanging = this.#hangs;
    this.#hangs = "never";
    if (typeof hanging === "object") {
      hanging.ended({ ok: false, fault: FATAL, fatal: true, computeUs: 0 });
    }
  }

  read(): Device {
    const { memoryBytes, class: kind } = this.#plan;
    const memoryFreeBytes = Math.max(0, memoryBytes - this.#usedBytes());
    const memoryTotalBytes = memoryBytes;
    const memorySource = "budget";
    return { class: kind, name: "simulated", memoryTotalBytes, memoryFreeBytes, memorySource };
  }

  load(spec: ModelSpec, ended: (loaded: Loaded | Fault) => void): void {
    const { scenario, timeline } = this.#world;
    const plan = this.#planOf(spec);
    const ref = modelRef(spec.name, spec.version);
    const file = this.#cache.get(spec.digest, !this.#world.without("digestCheck"));
    this.#loaded.set(ref, { bytes: plan.loadedBytes, digest: file.digest });
    const usedBytes = this.#usedBytes();
    const totalBytes = this.#plan.memoryBytes;
    this.#world.observe({ type: "memoryRead", device: this.#plan.id, usedBytes, totalBytes });
    const full = usedBytes > totalBytes;
    const fails = this.#world.faulty() && this.#random.chance(scenario.loadFails);
    timeline.after(this.#noisy(plan.loadUs + file.fetchUs), () => {
      const short = full || this.full === "for several";
      if (short || fails) {
        this.#loaded.delete(ref);
        return ended(short ? FULL : fault("LOAD_FAILED", "the store is away"));
      }
      const warmUs = batchBuckets(spec.maxBatch).map(
        (rows) => [rows, this.#runUs(plan, rows, 1)] as const,
      );
      ended({ bytes: plan.loadedBytes, warmUs });
    });
  }

  unload(ref: string, ended: () => void): void {
    this.#world.timeline.after(this.#noisy(UNLOAD_US), () => {
      this.#loaded.delete(ref);
      ended();
    });
  }

  /** As the engine does it: one at a time, by tier, and what waits behind a failure goes back. */
  run(run: HandedRun): void {
    const behind = this.#waiting.findIndex(({ tier }) => tier > run.tier);
    this.#waiting.splice(behind < 0 ? this.#waiting.length : behind, 0, run);
    if (!this.#busy) this.#next();
  }

  /** The process is stopped, and begins nothing. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (!this.#busy) this.#next();
  }

  #next(): void {
    const run = this.#paused ? undefined : this.#waiting.shift();
    this.#busy = run !== undefined;
    if (run === undefined) return;
    if (this.#world.timeline.nowUs > run.startByUs) {
      run.ended({ ok: false, fault: NOT_BEGUN, fatal: false, computeUs: 0 });
      return this.#next();
    }
    run.began();
    this.#start(run, (result) => {
      const given = result.ok && !run.partial ? [] : this.#waiting.splice(0);
      run.ended(result);
      for (const { ended } of given) {
        ended({ ok: false, fault: NOT_BEGUN, fatal: false, computeUs: 0 });
      }
      this.#next();
    });
  }

  #start({ spec, items }: HandedRun, ended: (result: RunResult) => void): void {
    const { timeline, poisoned, killers } = this.#world;
    const { straggles, fatal } = this.#world.scenario;
    const faulty = this.#world.faulty();
    const slow = faulty && this.#random.chance(straggles) ? STRAGGLE : 1;
    // A request and its hedge may be in one batch.
    const asked = new Set(items.map(({ body }) => requestOfBody(body) ?? -1));
    const killed = [...asked].filter((request) => killers.has(request));
    const crashes = killed.length > 0 && this.#random.chance(CRASHES);
    const dies = this.#isLost || killed.length > 0 || (faulty && this.#random.chance(fatal));
    const short = this.full === "for all" || (this.full === "for several" && items.length > 1);
    if (this.#hangs === "next") {
      this.#hangs = { ended };
      return;
    }
    const computeUs = this.#noisy(this.usualUs(spec, items) * slow * this.slowed);
    const fails = items.some(({ body }) => poisoned.has(requestOfBody(body) ?? -1));
    timeline.after(computeUs, () => {
      for (const request of killed) this.#world.killedBy(request, this.#plan.id);
      if (crashes) this.#crash();
      else if (dies) ended({ ok: false, fault: FATAL, fatal: true, computeUs });
      else if (short) ended({ ok: false, fault: FULL, fatal: false, computeUs });
      else if (fails) ended({ ok: false, fault: POISON, fatal: false, computeUs });
      else ended({ ok: true, outputs: this.#outputs(spec, items), computeUs });
    });
  }

  /** What a run takes when nothing is wrong. Padding makes all items as long as the longest. */
  usualUs(spec: ModelSpec, items: readonly RunItem[]): number {
    const plan = this.#planOf(spec);
    const rows = items.reduce((sum, { item }) => sum + item.rows, 0);
    const longest = items.reduce((most, { item }) => Math.max(most, item.length), 0);
    const part = plan.lengthMax === 0 ? 1 : Math.max(0.1, longest / plan.lengthMax);
    return this.#runUs(plan, rows, part);
  }

  /**
   * The same on the fastest device of its class, which is what a scheduler may take for the time of
   * all of them: it learns per class, and one that is slower has no say before it has run.
   */
  usualOfClassUs(spec: ModelSpec, items: readonly RunItem[]): number {
    const { class: kind, slowness } = this.#plan;
    const alike = this.#world.scenario.workers.filter((plan) => plan.class === kind);
    const fastest = Math.min(...alike.map((plan) => plan.slowness));
    return Math.ceil((this.usualUs(spec, items) * fastest) / slowness);
  }

  /** Rows in one run, as the model really has it. */
  rowsMax(spec: ModelSpec): number {
    return Math.max(1, this.#planOf(spec).maxBatch);
  }

  #outputs(spec: ModelSpec, items: readonly RunItem[]): { readonly body: Uint8Array }[] {
    const { digest } = present(this.#loaded.get(modelRef(spec.name, spec.version)), spec.name);
    const shift = this.#world.without("ownOutput") ? 1 : 0;
    return items.map((_, at) => {
      const { body } = items[(at + shift) % items.length] as RunItem;
      return { body: outputOf(body, digest) };
    });
  }

  #runUs(plan: ModelPlan, rows: number, part: number): number {
    return Math.ceil((plan.runUs + plan.rowUs * rows * part) * this.#plan.slowness);
  }

  /** Within a tenth of what is usual, mostly. */
  #noisy(us: number): number {
    return Math.max(1, Math.ceil(us * (0.95 + this.#random.exponential(0.05))));
  }

  #usedBytes(): number {
    let used = 0;
    for (const { bytes } of this.#loaded.values()) used += bytes;
    return used;
  }

  #planOf(spec: ModelSpec): ModelPlan {
    return present(
      this.#world.scenario.models.find(({ name }) => name === spec.name),
      spec.name,
    );
  }
}
