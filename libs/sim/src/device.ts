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
} from "@millrace/protocol";
import { present, type Random } from "@millrace/std";
import { requestOfBody } from "./bodies.ts";
import type { ModelPlan, WorkerPlan } from "./scenario.ts";
import type { World } from "./world.ts";

const UNLOAD_US = 3_000;
const STRAGGLE = 10;
const POISON = fault("EXECUTION_FAILED", "the input has no output");
const FATAL = fault("EXECUTION_FAILED", "the device is lost");

export class SimulatedDevice {
  readonly #world: World;
  readonly #plan: WorkerPlan;
  readonly #random: Random;
  readonly #loaded = new Map<string, number>();
  #hangs: "never" | "next" | { readonly ended: (result: RunResult) => void } = "never";

  constructor(world: World, plan: WorkerPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = world.random.fork();
  }

  get hangs(): boolean {
    return this.#hangs !== "never";
  }

  /** The next run does not end by itself. */
  hang(): void {
    if (this.#hangs === "never") this.#hangs = "next";
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
    this.#loaded.set(ref, plan.loadedBytes);
    const usedBytes = this.#usedBytes();
    const totalBytes = this.#plan.memoryBytes;
    this.#world.observe({ type: "memoryRead", device: this.#plan.id, usedBytes, totalBytes });
    const full = usedBytes > totalBytes;
    const fails = this.#world.faulty() && this.#random.chance(scenario.loadFails);
    timeline.after(this.#noisy(plan.loadUs), () => {
      if (full || fails) {
        this.#loaded.delete(ref);
        return ended(
          full ? fault("OUT_OF_MEMORY", "no room") : fault("LOAD_FAILED", "the store is away"),
        );
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

  run(spec: ModelSpec, items: readonly RunItem[], ended: (result: RunResult) => void): void {
    const { timeline, poisoned } = this.#world;
    const { straggles, fatal } = this.#world.scenario;
    const faulty = this.#world.faulty();
    const slow = faulty && this.#random.chance(straggles) ? STRAGGLE : 1;
    const dies = faulty && this.#random.chance(fatal);
    if (this.#hangs === "next") {
      this.#hangs = { ended };
      return;
    }
    const computeUs = this.#noisy(this.usualUs(spec, items) * slow);
    const fails = items.some(({ body }) => poisoned.has(requestOfBody(body) ?? -1));
    timeline.after(computeUs, () => {
      if (dies) ended({ ok: false, fault: FATAL, fatal: true, computeUs });
      else if (fails) ended({ ok: false, fault: POISON, fatal: false, computeUs });
      else ended({ ok: true, outputs: this.#outputs(items), computeUs });
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

  /** Rows in one run, as the model really has it. */
  rowsMax(spec: ModelSpec): number {
    return Math.max(1, this.#planOf(spec).maxBatch);
  }

  #outputs(items: readonly RunItem[]): { readonly body: Uint8Array }[] {
    const shift = this.#world.without("ownOutput") ? 1 : 0;
    return items.map((_, at) => {
      const { body } = items[(at + shift) % items.length] as RunItem;
      return { body: body.slice() };
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
    for (const bytes of this.#loaded.values()) used += bytes;
    return used;
  }

  #planOf(spec: ModelSpec): ModelPlan {
    return present(
      this.#world.scenario.models.find(({ name }) => name === spec.name),
      spec.name,
    );
  }
}
