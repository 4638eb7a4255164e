/**
 * What an observer beside a worker sees: the batches that the worker took and when each is ready.
 * It is told the assignments as they were sent, and compares them with what the worker does.
 */

import type { WorkerEffect } from "@millrace/executing";
import type { AssignmentFrame, AssignmentItem, Tier } from "@millrace/protocol";
import { SCHEDULER_DEFAULTS } from "@millrace/scheduling";
import { present } from "@millrace/std";
import type { SimulatedDevice } from "./device.ts";
import { attemptName } from "./work.ts";
import type { World } from "./world.ts";

interface Batch {
  readonly name: string;
  readonly tier: Tier;
  /** Kept for the run and the way back, from what the most urgent item has left. */
  readonly reservedUs: number;
  readonly arrivedUs: number;
  /** Without an answer yet; the batch is over when there are none. */
  readonly open: Set<AssignmentItem>;
  /** Bodies that are still to come. */
  readonly missing: Set<string>;
  ready: boolean;
  /** The run that has the last of it; undefined while more of it waits. */
  lastRun: number | undefined;
}

export class HeldBatches {
  readonly #world: World;
  readonly #id: string;
  readonly #device: SimulatedDevice;
  readonly #batches = new Set<Batch>();
  /** By identity: a ticket that was delivered twice is in two batches. */
  readonly #byItem = new Map<AssignmentItem, Batch>();
  #taken = 0;

  constructor(world: World, id: string, device: SimulatedDevice) {
    this.#world = world;
    this.#id = id;
    this.#device = device;
  }

  /** The worker took an assignment; what it did in the step says which items it kept. */
  given(frame: AssignmentFrame, effects: readonly WorkerEffect[]): void {
    const { scheduler, id, tier, startWithinUs } = frame;
    const wanted = new Set<string>();
    for (const effect of effects) {
      if (effect.type !== "fetch") continue;
      for (const { seq, attempt } of effect.wants) {
        wanted.add(attemptName({ ingress: effect.ingress, seq, attempt }));
      }
    }
    // Of two that await the same body, one is enough.
    const kept = new Set(wanted);
    const items = frame.items.filter((item) => !item.remote || kept.delete(attemptName(item)));
    if (items.length === 0) return;
    const batch: Batch = {
      // A scheduler that was restarted gives its numbers again.
      name: `${scheduler}#${id}/${++this.#taken}`,
      tier,
      reservedUs: Math.min(...frame.items.map((item) => item.remainingUs)) - startWithinUs,
      arrivedUs: this.#world.timeline.nowUs,
      open: new Set(items),
      missing: wanted,
      ready: false,
      lastRun: undefined,
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
  did(effects: readonly WorkerEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "answer") for (const item of effect.items) this.#answered(item);
    }
  }

  #answered(item: AssignmentItem): void {
    const batch = this.#byItem.get(item);
    if (batch === undefined) return;
    this.#byItem.delete(item);
    batch.open.delete(item);
    if (batch.open.size === 0) {
      this.#batches.delete(batch);
      this.#world.observe({ type: "batchLeft", device: this.#id, batch: batch.name });
    } else if (batch.missing.delete(attemptName(item))) this.#noteReady(batch);
  }

  /** The device began a run. */
  began(run: Extract<WorkerEffect, { readonly type: "run" }>): void {
    const { id, spec, items, partial, proof } = run;
    const first = present(items[0], "an item of a run").item;
    const batch = this.#byItem.get(first);
    // A proof is nobody's, and a worker that has ended may have given up what its device still has.
    if (proof || batch === undefined) return;
    const { name, tier, arrivedUs, reservedUs } = batch;
    batch.lastRun = partial ? undefined : id;
    const leastUs = Math.min(...items.map(({ item }) => item.remainingUs));
    const rows = items.reduce((sum, { item }) => sum + item.rows, 0);
    this.#world.observe({
      type: "runStarted",
      device: this.#id,
      batch: name,
      tier,
      partial,
      requests: items.length,
      rows,
      rowsMax: this.#device.rowsMax(spec),
      usualUs: this.#device.usualOfClassUs(spec, items),
      sliceUs: SCHEDULER_DEFAULTS.sliceUsMax[tier],
      startByUs: arrivedUs + leastUs - reservedUs,
    });
  }

  /** The worker has heard how a run ended: what is left of its batch waits again. */
  ended(id: number): void {
    for (const batch of this.#batches) {
      if (batch.lastRun !== id) continue;
      batch.lastRun = undefined;
      batch.ready = false;
      this.#noteReady(batch);
    }
  }

  #noteReady(batch: Batch): void {
    if (batch.ready || batch.missing.size > 0) return;
    batch.ready = true;
    const { name, tier } = batch;
    this.#world.observe({ type: "batchTaken", device: this.#id, batch: name, tier });
  }
}
