/**
 * Which device may serve which tier of a model now: the kind that the tier prefers, the other kind
 * where that one is too busy, and a device whose less urgent work can be overtaken.
 */

import type { Queued } from "@millrace/batching";
import type { DevicePool, DeviceState } from "@millrace/placement";
import type { Tier } from "@millrace/protocol";
import type { Batch } from "./dispatching.ts";
import type { ModelState } from "./models.ts";
import type { Waits } from "./waits.ts";

export class Spilling {
  readonly #pool: DevicePool<Batch>;
  readonly #waits: Waits;

  constructor(pool: DevicePool<Batch>, waits: Waits) {
    this.#pool = pool;
    this.#waits = waits;
  }

  /**
   * May this device serve this tier of the model now? Batch work may use any idle device. Realtime
   * and standard use a CPU only when no accelerator has the model, or when the CPU is expected to
   * finish sooner than the accelerators would.
   */
  spills(model: ModelState, device: DeviceState<Batch>, tier: Tier, nowUs: number): boolean {
    if (device.accelerator || tier === 2) return true;
    const head = model.queue.peek();
    if (head === undefined) return true;
    const { rows } = head.ticket;
    let soonestUs = Infinity;
    let accelerators = 0;
    for (const holder of this.#pool.sample(model.ref)) {
      if (!holder.accelerator || !holder.available || holder.id === head.avoid) continue;
      accelerators++;
      const endUs = this.#waits.endsUs(model, holder, tier, rows, nowUs);
      soonestUs = Math.min(soonestUs, endUs + holder.overdueUs(nowUs));
    }
    if (accelerators === 0) return true;
    const cpuUs = model.profileOn(device.device.class).meanUs(rows);
    const aheadUs = this.#waits.queueUs(model, tier, accelerators);
    return nowUs + cpuUs < soonestUs + aheadUs;
  }

  /** What is urgent waits for an accelerator, and what was sent as batch need not wait with it. */
  isForBatch(model: ModelState, device: DeviceState<Batch>, topTier: Tier, nowUs: number): boolean {
    if (device.accelerator || topTier === 2 || model.queue.batchRows === 0) return false;
    return !this.spills(model, device, topTier, nowUs);
  }

  /** The soonest device, where the model's most urgent work goes before what is bound there. */
  overtaken(
    model: ModelState,
    nowUs: number,
    tried?: ReadonlySet<DeviceState<Batch>>,
  ): DeviceState<Batch> | undefined {
    const tier = model.queue.topTier;
    if (tier === undefined || tier === 2 || isSuspect(model)) return undefined;
    const { rows } = (model.queue.peek() as Queued).ticket;
    let soonest: DeviceState<Batch> | undefined;
    let soonestUs = Infinity;
    for (const device of this.#pool.sample(model.ref)) {
      if (!device.available || tried?.has(device) === true) continue;
      const endUs = this.#waits.endsUs(model, device, tier, rows, nowUs) + device.overdueUs(nowUs);
      if (endUs < soonestUs) [soonest, soonestUs] = [device, endUs];
    }
    if (soonest === undefined || !this.#pool.takesAhead(soonest, tier, nowUs)) return undefined;
    return this.spills(model, soonest, tier, nowUs) ? soonest : undefined;
  }
}

/** What is to go next may have cost a worker: it gets a device for itself. */
export const isSuspect = ({ queue }: ModelState): boolean => queue.peek()?.ticket.alone === true;
