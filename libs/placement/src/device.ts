/**
 * What a scheduler knows of one device: what it sent there, when that will be done, and which
 * models the device holds. All of it comes from heartbeats and from what the scheduler itself sent.
 */

import type { Device, Lifecycle, Resident, Tier, WorkerHeartbeat } from "@millrace/protocol";
import { isAccelerator } from "@millrace/protocol";

/** A batch that was sent and not reported done. `B` is the scheduler's record of it. */
export interface Outstanding<B> {
  readonly id: number;
  readonly batch: B;
  readonly sentUs: number;
  readonly meanUs: number;
  readonly tier: Tier;
}

/** A device's place among the idle devices of one model. */
export interface Slot<B> {
  readonly device: DeviceState<B>;
  readonly stack: Slot<B>[];
  /** In the stack: pushed when the device went idle, dropped when found busy or gone. */
  listed: boolean;
  gone: boolean;
}

export class DeviceState<B> {
  readonly id: string;
  readonly role: WorkerHeartbeat["role"];
  readonly accelerator: boolean;
  /** Where it stands and how it is paid for, where it says so. */
  readonly zone: string | undefined;
  readonly lifecycle: Lifecycle | undefined;
  device: Device;
  incarnation: number;
  /** Takes new work: heard lately, not draining. */
  available = true;
  /** The last assignment that it took, by its own word; undefined while it takes more. */
  lastTaken: number | undefined;
  readonly outstanding = new Map<number, Outstanding<B>>();
  /** Models that can run now, by ref. */
  readonly ready = new Map<string, Slot<B>>();
  /** Of them, those in whose stacks the device is not. */
  unlisted = 0;
  residents: ReadonlyMap<string, Resident> = new Map();
  modelsRevision = -1;
  /** What the device had finished when it was last seen to finish something, or to be idle. */
  progress = -1;
  /** When it should have finished more; Infinity while it is idle. */
  progressDueUs = Infinity;
  /** When everything known to wait on the device will be done. */
  freeAtUs = 0;
  /** How long before `freeAtUs` it gets a batch that is full; learned by the scheduler. */
  fullLeadUs = 0;
  #nextId: number;
  #reservedFor = 0;
  /** When it should be seen to finish something again. */
  #dueUs = 0;
  /** Of what was sent, the one that runs, as far as is known here. */
  #runningId = 0;

  /** @param seen the last batch that the worker had from this scheduler: it takes none again. */
  constructor(beat: WorkerHeartbeat, seen = 0) {
    this.#nextId = seen + 1;
    this.id = beat.id;
    this.role = beat.role;
    this.device = beat.device;
    this.accelerator = isAccelerator(beat.device.class);
    this.zone = beat.zone;
    this.lifecycle = beat.lifecycle;
    this.incarnation = beat.incarnation;
  }

  /** It was sent a batch that nothing else may be lost with. */
  get reserved(): boolean {
    return this.#reservedFor > 0 && this.outstanding.has(this.#reservedFor);
  }

  /** Records a batch as sent; returns its id. `alone`: the device takes no other until its end. */
  sent(batch: B, tier: Tier, meanUs: number, nowUs: number, alone = false): number {
    const id = this.#nextId++;
    if (alone) this.#reservedFor = id;
    const isFirst = this.outstanding.size === 0;
    this.outstanding.set(id, { id, batch, sentUs: nowUs, meanUs, tier });
    this.freeAtUs = Math.max(this.freeAtUs, nowUs) + meanUs;
    if (isFirst) {
      this.#runningId = id;
      this.#dueUs = this.freeAtUs;
    }
    return id;
  }

  /** Forgets a batch that is over; the most urgent of the others runs then, the first of a tier. */
  ended(id: number): void {
    this.outstanding.delete(id);
    if (id !== this.#runningId) return;
    let next: Outstanding<B> | undefined;
    for (const sent of this.outstanding.values()) {
      if (next === undefined || sent.tier < next.tier) next = sent;
    }
    this.#runningId = next?.id ?? 0;
  }

  /** What a batch of the tier goes before at the device: the less urgent that wait there. */
  behind(tier: Tier): { readonly batches: number; readonly us: number } {
    let batches = 0;
    let us = 0;
    for (const sent of this.outstanding.values()) {
      if (sent.id === this.#runningId || sent.tier <= tier) continue;
      batches++;
      us += sent.meanUs;
    }
    return { batches, us };
  }

  /** When everything is done that a batch of the tier would wait for. */
  freeForUs(tier: Tier): number {
    return this.outstanding.size < 2 ? this.freeAtUs : this.freeAtUs - this.behind(tier).us;
  }

  /**
   * How long what it holds of ours stands still that should have gone on, for its own sake or with
   * another scheduler's work. Held against other devices it is taken to do so for as long again.
   */
  overdueUs(nowUs: number): number {
    return this.outstanding.size > 0 ? Math.max(0, nowUs - this.#dueUs) : 0;
  }

  /** It has finished something, by its word, and has so much left. */
  progressed(backlogUs: number, nowUs: number): void {
    this.#dueUs = nowUs + backlogUs;
  }

  /**
   * The device says how long its backlog is. Batches that it has not seen yet come on top.
   * @param seen the highest assignment id that the backlog includes.
   */
  backlogHeard(backlogUs: number, seen: number, nowUs: number): void {
    let unseenUs = 0;
    for (const sent of this.outstanding.values()) if (sent.id > seen) unseenUs += sent.meanUs;
    this.freeAtUs = nowUs + backlogUs + unseenUs;
  }
}
