/**
 * What an observer beside a worker sees: the batches that the worker took and when each is ready. It
 * is told the assignments as they were sent, and compares them with what the worker does.
 */

import type { WorkerEffect } from "@millrace/executing";
import type { AssignmentFrame, AssignmentItem, Tier } from "@millrace/protocol";
import type { World } from "./world.ts";

interface Batch {
  readonly name: string;
  readonly tier: Tier;
  readonly startByUs: number;
  /** Items whose bodies are still to come. */
  readonly missing: Set<string>;
  ready: boolean;
}

export class HeldBatches {
  readonly #world: World;
  readonly #device: string;
  readonly #batches = new Map<string, Batch>();
  readonly #byItem = new Map<string, Batch>();

  constructor(world: World, device: string) {
    this.#world = world;
    this.#device = device;
  }

  get size(): number {
    return this.#batches.size;
  }

  took(frame: AssignmentFrame): void {
    const { scheduler, id, tier, startWithinUs, items } = frame;
    const batch: Batch = {
      name: `${scheduler}#${id}`,
      tier,
      startByUs: this.#world.timeline.nowUs + startWithinUs,
      missing: new Set(items.filter((item) => item.remote).map(keyOf)),
      ready: false,
    };
    this.#batches.set(batch.name, batch);
    for (const item of items) this.#byItem.set(keyOf(item), batch);
    this.#noteReady(batch);
  }

  bodyEnded(key: string): void {
    const batch = this.#byItem.get(key);
    if (batch?.missing.delete(key) === true) this.#noteReady(batch);
  }

  /** What a step of the worker says about its batches. */
  did(effects: readonly WorkerEffect[], rowsMax: (model: string) => number): void {
    for (const effect of effects) {
      if (effect.type === "answer") for (const item of effect.items) this.bodyEnded(keyOf(item));
    }
    for (const effect of effects) {
      if (effect.type === "done") this.#left(`${effect.scheduler}#${effect.frame.id}`);
    }
    for (const effect of effects) {
      if (effect.type !== "run") continue;
      const first = effect.items[0]?.item;
      const batch = first === undefined ? undefined : this.#byItem.get(keyOf(first));
      const rows = effect.items.reduce((sum, { item }) => sum + item.rows, 0);
      this.#world.observe({
        type: "runStarted",
        device: this.#device,
        batch: batch?.name ?? "unknown",
        tier: batch?.tier ?? 0,
        rows,
        rowsMax: rowsMax(effect.spec.name),
      });
    }
  }

  #noteReady(batch: Batch): void {
    if (batch.ready || batch.missing.size > 0) return;
    batch.ready = true;
    const { name, tier, startByUs } = batch;
    const device = this.#device;
    this.#world.observe({ type: "batchTaken", device, batch: name, tier, startByUs });
  }

  #left(name: string): void {
    const batch = this.#batches.get(name);
    if (batch === undefined) return;
    this.#batches.delete(name);
    for (const [key, owner] of this.#byItem) if (owner === batch) this.#byItem.delete(key);
    this.#world.observe({ type: "batchLeft", device: this.#device, batch: name });
  }
}

export const bodyKey = (ingress: string, seq: number, attempt: number): string =>
  `${ingress} ${seq} ${attempt}`;
const keyOf = ({ ingress, seq, attempt }: AssignmentItem): string =>
  bodyKey(ingress, seq, attempt);
