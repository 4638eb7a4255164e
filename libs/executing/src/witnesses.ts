/**
 * Keeps one input per model that is known to run. When an item fails and no other ran beside it,
 * the witness runs next: if it fails too, the device is broken, and else the item is to blame.
 */

import type { ModelSpec } from "@millrace/protocol";
import type { HeldItem, Part } from "./batch.ts";
import type { WorkerLimits } from "./options.ts";

export class Witnesses {
  /** By digest, oldest first: other bytes may not run on the same input. */
  readonly #byDigest = new Map<string, HeldItem>();
  readonly #limits: WorkerLimits;

  constructor(limits: WorkerLimits) {
    this.#limits = limits;
  }

  get(spec: ModelSpec): HeldItem | undefined {
    return this.#byDigest.get(spec.digest);
  }

  /** A part ran: the first of its items that is small enough becomes the model's witness. */
  ran({ digest }: ModelSpec, part: Part): void {
    if (this.#byDigest.has(digest)) return;
    const held = part.find(({ body }) => body.length <= this.#limits.witnessBytesMax);
    if (held === undefined) return;
    const { witnessesMax } = this.#limits;
    if (this.#byDigest.size >= witnessesMax) {
      this.#byDigest.delete(this.#byDigest.keys().next().value as string); // I6
    }
    const item = { ...held.item, remainingUs: Number.POSITIVE_INFINITY, tail: NO_TAIL };
    // A copy: an inline body is a view of its whole frame.
    this.#byDigest.set(digest, { item, body: held.body.slice(), answered: true });
  }
}

const NO_TAIL = new Uint8Array(0);
