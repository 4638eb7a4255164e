/**
 * The batches a worker holds, in the order in which they get the device: by tier, then by arrival.
 * A batch whose remote bodies are not all here is passed over and holds up nobody.
 */

import type { Batch, HeldItem } from "./batch.ts";

/** An item whose body is on its way. */
export interface Awaited {
  readonly batch: Batch;
  readonly held: HeldItem;
}

export class RunQueue {
  readonly #batches: Batch[] = [];
  readonly #awaited = new Map<string, Awaited>();
  #bytes = 0;

  get size(): number {
    return this.#batches.length;
  }

  /** Bytes of all bodies held or awaited. */
  get bytes(): number {
    return this.#bytes;
  }

  /** In the order in which they will run; a copy, so that batches may leave meanwhile. */
  batches(): readonly Batch[] {
    return [...this.#batches];
  }

  /** Takes a batch with all its items. */
  hold(batch: Batch): void {
    const batches = this.#batches;
    let at = batches.length;
    while (at > 0 && (batches[at - 1] as Batch).frame.tier > batch.frame.tier) at--; // I4
    batches.splice(at, 0, batch);
    this.#bytes += batch.bytes;
  }

  release(batch: Batch): void {
    const at = this.#batches.indexOf(batch);
    this.#batches.splice(at, 1);
    this.#bytes -= batch.bytes;
  }

  /**
   * The batch whose turn it is, but for those that the engine has. A batch that was split keeps its
   * place between its runs.
   */
  next(isHanded: (batch: Batch) => boolean): Batch | undefined {
    return this.#batches.find((batch) => batch.missing === 0 && !isHanded(batch));
  }

  holdsModel(ref: string): boolean {
    return this.#batches.some((batch) => batch.frame.model === ref);
  }

  /** Expected time on the device of everything held. */
  expectedUs(): number {
    let sum = 0;
    for (const batch of this.#batches) sum += batch.frame.expectedUs;
    return sum;
  }

  await(batch: Batch, held: HeldItem): void {
    const { ingress, seq, attempt } = held.item;
    this.#awaited.set(awaitedKey(ingress, seq, attempt), { batch, held });
    batch.missing++;
  }

  isAwaited(ingress: string, seq: number, attempt: number): boolean {
    return this.#awaited.has(awaitedKey(ingress, seq, attempt));
  }

  /** Ends the wait for a body, if anybody waits for it. */
  endWait(ingress: string, seq: number, attempt: number): Awaited | undefined {
    const key = awaitedKey(ingress, seq, attempt);
    const awaited = this.#awaited.get(key);
    if (awaited === undefined) return undefined;
    this.#awaited.delete(key);
    awaited.batch.missing--;
    return awaited;
  }

  /** Ends the waits of a batch, or of some of it; returns the items whose bodies did not come. */
  endWaits(batch: Batch, items: readonly HeldItem[] = batch.items): HeldItem[] {
    if (batch.missing === 0) return [];
    const given: HeldItem[] = [];
    for (const { item } of items) {
      if (this.#awaited.get(awaitedKey(item.ingress, item.seq, item.attempt))?.batch !== batch) {
        continue;
      }
      const awaited = this.endWait(item.ingress, item.seq, item.attempt);
      if (awaited !== undefined) given.push(awaited.held);
    }
    return given;
  }

  /** When the first limit of a batch that has not begun passes. */
  get wakeAtUs(): number {
    let wakeAtUs = Number.POSITIVE_INFINITY;
    for (const batch of this.#batches) {
      if (batch.parts !== undefined) continue;
      wakeAtUs = Math.min(wakeAtUs, batch.startByUs + 1);
      if (batch.missing > 0) wakeAtUs = Math.min(wakeAtUs, batch.bodiesByUs);
    }
    return wakeAtUs;
  }
}

const awaitedKey = (ingress: string, seq: number, attempt: number): string =>
  `${ingress} ${seq} ${attempt}`;
