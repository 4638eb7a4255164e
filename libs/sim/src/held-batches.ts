/**
 * What an observer beside a worker sees: the batches that the worker took and when each is ready. It
 * is told the assignments as they were sent, and compares them with what the worker does.
 */

import type { WorkerEffect } from "@millrace/executing";
import type { AssignmentFrame, AssignmentItem, Tier } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { World } from "./world.ts";

interface Batch {
  /** What scheduler and worker call it; a scheduler that was restarted gives its names again. */
  readonly name: string;
  readonly label: string;
  readonly tier: Tier;
  readonly startByUs: number;
  /** Without an answer yet. */
  readonly open: Set<AssignmentItem>;
  /** Bodies that are still to come. */
  readonly missing: Set<string>;
  ready: boolean;
}

export class HeldBatches {
  readonly #world: World;
  readonly #device: string;
  readonly #batches = new Set<Batch>();
  /** By identity: a ticket that was delivered twice is in two batches. */
  readonly #byItem = new Map<AssignmentItem, Batch>();
  #taken = 0;

  constructor(world: World, device: string) {
    this.#world = world;
    this.#device = device;
  }

  took(frame: AssignmentFrame): void {
    const { scheduler, id, tier, startWithinUs, items } = frame;
    const name = `${scheduler}#${id}`;
    const batch: Batch = {
      name,
      label: `${name} (${++this.#taken}.)`,
      tier,
      startByUs: this.#world.timeline.nowUs + startWithinUs,
      open: new Set(items),
      missing: new Set(items.filter((item) => item.remote).map(keyOf)),
      ready: false,
    };
    this.#batches.add(batch);
    for (const item of items) this.#byItem.set(item, batch);
    this.#noteReady(batch);
  }

  bodyEnded(key: string): void {
    for (const batch of this.#batches) {
      if (batch.missing.delete(key)) this.#noteReady(batch);
    }
  }

  /** What a step of the worker says about its batches. */
  did(effects: readonly WorkerEffect[], rowsMax: (model: string) => number): void {
    for (const effect of effects) {
      if (effect.type === "answer") for (const item of effect.items) this.#answered(item);
    }
    for (const effect of effects) {
      if (effect.type === "done") this.#left(`${effect.scheduler}#${effect.frame.id}`);
    }
    for (const effect of effects) if (effect.type === "run") this.#began(effect, rowsMax);
  }

  #answered(item: AssignmentItem): void {
    const batch = this.#byItem.get(item);
    if (batch === undefined) return;
    batch.open.delete(item);
    if (batch.missing.delete(keyOf(item))) this.#noteReady(batch);
  }

  #began(
    { spec, items }: Extract<WorkerEffect, { readonly type: "run" }>,
    rowsMax: (model: string) => number,
  ): void {
    const first = present(items[0], "an item of a run").item;
    const { label, tier } = present(this.#byItem.get(first), "the batch of a run");
    const rows = items.reduce((sum, { item }) => sum + item.rows, 0);
    const device = this.#device;
    const limit = rowsMax(spec.name);
    this.#world.observe({ type: "runStarted", device, batch: label, tier, rows, rowsMax: limit });
  }

  #noteReady(batch: Batch): void {
    if (batch.ready || batch.missing.size > 0) return;
    batch.ready = true;
    const { label, tier, startByUs } = batch;
    const device = this.#device;
    this.#world.observe({ type: "batchTaken", device, batch: label, tier, startByUs });
  }

  /** Of two batches of the same name, the one with fewer items to answer is the one that is over. */
  #left(name: string): void {
    let left: Batch | undefined;
    for (const batch of this.#batches) {
      if (batch.name !== name) continue;
      if (left === undefined || batch.open.size < left.open.size) left = batch;
    }
    if (left === undefined) return;
    this.#batches.delete(left);
    for (const [item, batch] of this.#byItem) if (batch === left) this.#byItem.delete(item);
    this.#world.observe({ type: "batchLeft", device: this.#device, batch: left.label });
  }
}

export const bodyKey = (ingress: string, seq: number, attempt: number): string =>
  `${ingress} ${seq} ${attempt}`;
const keyOf = ({ ingress, seq, attempt }: AssignmentItem): string =>
  bodyKey(ingress, seq, attempt);
