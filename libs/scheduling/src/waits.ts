/**
 * Predicts how long a ticket waits: for what devices hold, for this scheduler's own queues, and for
 * what waits at other schedulers for the same devices, as their heartbeats have it.
 */

import type { DevicePool, DeviceState } from "@millrace/placement";
import type { ModelLoad, SchedulerHeartbeat, Tier } from "@millrace/protocol";
import type { Batch } from "./dispatching.ts";
import type { ModelState, Models } from "./models.ts";

/** Every ticket asks for it. */
const DEVICES_FRESH_US = 50_000;

export class Waits {
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #elsewhere = new Map<string, SchedulerHeartbeat>();
  /** Of those heartbeats what waits: they name all models in use, and every ticket asks for it. */
  readonly #queued = new Map<string, readonly ModelLoad[]>();

  constructor(models: Models, pool: DevicePool<Batch>) {
    this.#models = models;
    this.#pool = pool;
  }

  /** What waits at other schedulers. */
  get elsewhere(): Iterable<SchedulerHeartbeat> {
    return this.#elsewhere.values();
  }

  heard(heartbeat: SchedulerHeartbeat): void {
    const { id, loads } = heartbeat;
    this.#elsewhere.set(id, heartbeat);
    this.#queued.set(
      id,
      loads.filter(({ queueUs }) => queueUs !== undefined),
    );
  }

  forget(scheduler: string): void {
    this.#elsewhere.delete(scheduler);
    this.#queued.delete(scheduler);
  }

  /** Models that wait and that the device holds; walks the smaller of the two sets. */
  *candidates(device: DeviceState<Batch>): Generator<ModelState> {
    const { waiting } = this.#models;
    if (waiting.size <= device.ready.size) {
      for (const model of waiting) if (device.ready.has(model.ref)) yield model;
      return;
    }
    for (const ref of device.ready.keys()) {
      const model = this.#models.get(ref);
      if (model !== undefined && waiting.has(model)) yield model;
    }
  }

  /**
   * Time until the rows are through that wait in the tiers above, and in the tier with an earlier
   * deadline, on so many devices.
   */
  queueUs(model: ModelState, tier: Tier, devices: number, deadlineUs = Infinity): number {
    const rows = model.queue.rowsAhead(tier, deadlineUs);
    if (rows === 0) return 0;
    const full = model.fastestUs(Math.min(rows, model.rowsMax));
    return Math.ceil((full * (rows / model.rowsMax)) / Math.max(1, devices));
  }

  /**
   * How long the soonest of the model's devices is kept busy by what it holds, and by what waits
   * for it ahead of a ticket of the tier with this deadline, but for the model's own queue;
   * undefined while no device is ready. Other models' work is taken to be shared by their devices.
   */
  othersUs(model: ModelState, tier: Tier, deadlineUs: number, nowUs: number): number | undefined {
    const ownUs = this.queueUs(model, tier, this.devices(model, nowUs), deadlineUs);
    let soonestUs: number | undefined;
    for (const device of this.#pool.sample(model.ref)) {
      if (!device.available) continue;
      const hereUs = this.#queuesUs(model, device, tier, deadlineUs, nowUs);
      const us =
        Math.max(0, device.freeForUs(tier) - nowUs) +
        hereUs +
        this.#elsewhereUs(device, tier, hereUs + ownUs);
      soonestUs = Math.min(soonestUs ?? Infinity, us);
      if (soonestUs === 0) break;
    }
    return soonestUs;
  }

  /** What waits here for the device ahead of the ticket, of models other than its own. */
  #queuesUs(
    model: ModelState,
    device: DeviceState<Batch>,
    tier: Tier,
    deadlineUs: number,
    nowUs: number,
  ): number {
    let us = 0;
    for (const other of this.candidates(device)) {
      if (other === model) continue;
      us += this.queueUs(other, tier, this.devices(other, nowUs), deadlineUs);
    }
    return us;
  }

  /**
   * What other schedulers put ahead of the ticket on the device: all of the tiers above, and of its
   * own tier as much as is ahead of it here, because there their batches and ours take turns.
   */
  #elsewhereUs(device: DeviceState<Batch>, tier: Tier, aheadUs: number): number {
    let aboveUs = 0;
    let sameUs = 0;
    for (const loads of this.#queued.values()) {
      for (const { ref, queueUs } of loads) {
        if (queueUs === undefined || !device.ready.has(ref)) continue;
        for (let other = 0; other < tier; other++) aboveUs += queueUs[other] ?? 0;
        sameUs += queueUs[tier];
      }
    }
    return aboveUs + Math.min(sameUs, aheadUs);
  }

  /** Device time of what waits for the model in each tier, shared by its devices. */
  tiersUs(model: ModelState, nowUs: number): [realtime: number, standard: number, batch: number] {
    const devices = this.devices(model, nowUs);
    const realtimeUs = this.queueUs(model, 0, devices);
    const standardUs = this.queueUs(model, 1, devices);
    const batchUs = this.queueUs(model, 2, devices);
    return [realtimeUs, Math.max(0, standardUs - realtimeUs), Math.max(0, batchUs - standardUs)];
  }

  /** What a request that arrives now at the tier would wait; 0 while no device is ready. */
  waitUs(model: ModelState, tier: Tier, nowUs: number): number {
    const othersUs = this.othersUs(model, tier, Infinity, nowUs);
    if (othersUs === undefined) return 0;
    return Math.ceil(othersUs) + this.queueUs(model, tier, this.devices(model, nowUs));
  }

  /** When the device would have run the rows of the model, begun once it is free for the tier. */
  endsUs(
    model: ModelState,
    device: DeviceState<Batch>,
    tier: Tier,
    rows: number,
    nowUs: number,
  ): number {
    const startUs = Math.max(nowUs, device.freeForUs(tier));
    return startUs + model.profileOn(device.device.class).meanUs(rows);
  }

  /**
   * How many of its fastest devices all that serve the model are worth together, at least one: a
   * CPU that takes twenty times as long is a twentieth of a GPU.
   */
  devices(model: ModelState, nowUs: number): number {
    if (nowUs >= model.devicesUntilUs) {
      model.devicesUntilUs = nowUs + DEVICES_FRESH_US;
      model.devices = Math.max(1, this.#worth(model));
    }
    return model.devices;
  }

  #worth(model: ModelState): number {
    const fastestUs = model.fastestUs(model.rowsMax);
    const sample = this.#pool.sample(model.ref);
    if (sample.length === 0) return 0;
    let worth = 0;
    for (const { available, device } of sample) {
      if (!available) continue;
      const profile = model.profileOn(device.class);
      worth += profile.known ? fastestUs / profile.meanUs(model.rowsMax) : 1;
    }
    return (worth * this.#pool.holders(model.ref).size) / sample.length;
  }
}
