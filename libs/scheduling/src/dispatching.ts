/**
 * Binds tickets to devices, as late as possible: when a device is about to be free, the best batch
 * is formed then. A model's tickets look for a device when they arrive; a device looks for the most
 * urgent work among its models when it is about to be free.
 */

import {
  type BatchLimits,
  formBatch,
  type Placed,
  type Queued,
  worthWaitingUs,
} from "@millrace/batching";
import {
  type DevicePool,
  type DeviceState,
  type Wish,
  worthWaitingNearUs,
} from "@millrace/placement";
import type { AssignmentItem, Tier } from "@millrace/protocol";
import { Heap } from "@millrace/std";
import type { Effects } from "./effects.ts";
import type { Failing } from "./failing.ts";
import type { ModelState, Models } from "./models.ts";
import type { SchedulerOptions } from "./options.ts";
import { isSuspect, Spilling } from "./spilling.ts";
import type { Waits } from "./waits.ts";
import type { Zones } from "./zones.ts";

/** What a device was sent: enough to refuse its tickets when the device is lost. */
export interface Batch {
  readonly model: ModelState;
  readonly entries: readonly Queued[];
  readonly rows: number;
}

interface Wake {
  readonly atUs: number;
  readonly device: DeviceState<Batch>;
}

export class Dispatching {
  readonly #options: SchedulerOptions;
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #effects: Effects;
  readonly #waits: Waits;
  readonly #zones: Zones;
  readonly #failing: Failing;
  readonly #spilling: Spilling;
  readonly #isAtRisk: (zone: string) => boolean;
  readonly #limits = new Map<number, BatchLimits>();
  readonly #wakes = new Heap<Wake>((a, b) => a.atUs < b.atUs);
  readonly #holds = new Set<ModelState>();
  rowsSent = 0;
  batchesSent = 0;

  constructor(
    options: SchedulerOptions,
    models: Models,
    pool: DevicePool<Batch>,
    effects: Effects,
    waits: Waits,
    zones: Zones,
    failing: Failing,
  ) {
    this.#options = options;
    this.#models = models;
    this.#pool = pool;
    this.#effects = effects;
    this.#waits = waits;
    this.#zones = zones;
    this.#failing = failing;
    this.#spilling = new Spilling(pool, waits);
    this.#isAtRisk = zones.isAtRisk.bind(zones);
  }

  /** When a device is expected to take work again, or a held queue is let go. */
  get wakeAtUs(): number {
    let atUs = this.#wakes.peek()?.atUs ?? Infinity;
    for (const model of this.#holds) atUs = Math.min(atUs, model.holdUntilUs);
    return atUs;
  }

  /** Devices whose time has come look for work; queues that waited for company go. */
  wake(nowUs: number): void {
    for (;;) {
      const next = this.#wakes.peek();
      if (next === undefined || next.atUs > nowUs) break;
      this.#wakes.pop();
      this.feed(next.device, nowUs);
    }
    for (const model of this.#holds) {
      if (model.holdUntilUs > nowUs) continue;
      // It asks for no more wakes, also where every device is busy now.
      this.#holds.delete(model);
      this.dispatch(model, nowUs);
    }
  }

  /** The model's queue looks for devices. */
  dispatch(model: ModelState, nowUs: number): void {
    let tried: Set<DeviceState<Batch>> | undefined;
    for (;;) {
      const tier = model.queue.topTier;
      if (tier === undefined) break;
      const spills = (other: DeviceState<Batch>): boolean =>
        model.queue.batchRows > 0 || this.#spilling.spills(model, other, tier, nowUs);
      const wish = this.#wish(model, tier);
      const { ref } = model;
      const device =
        this.#pool.pick(ref, tier, nowUs, spills, isSuspect(model), wish, tried) ??
        this.#spilling.overtaken(model, nowUs, tried);
      if (device === undefined) break;
      if (this.#send(model, device, nowUs)) continue;
      if (model.held !== undefined && model.heldFor === undefined) break;
      // One that a hedge avoids, or is too slow for the head, says nothing of the others.
      (tried ??= new Set()).add(device);
    }
    this.#settle(model);
    if (model.queue.size > 0) this.#feedEarly(model, nowUs);
  }

  /** Devices that take full batches already, where this model's has just become full. */
  #feedEarly(model: ModelState, nowUs: number): void {
    for (const device of this.#pool.sample(model.ref)) {
      if (!this.isFull(model, device)) break;
      if (this.#pool.takesFull(device, nowUs)) this.feed(device, nowUs);
    }
  }

  /** The device looks for the most urgent work among its models. */
  feed(device: DeviceState<Batch>, nowUs: number): void {
    let tried: Set<ModelState> | undefined;
    while (this.#pool.takesFull(device, nowUs)) {
      const isEarly = !this.#pool.takes(device, nowUs);
      const model = this.#mostUrgent(device, tried, nowUs);
      if (isEarly && (model === undefined || !this.isFull(model, device))) break;
      if (model === undefined) {
        this.#pool.idle(device);
        return;
      }
      // It goes when the device has finished what it holds, and nothing is sent there before.
      if (isSuspect(model) && device.outstanding.size > 0) break;
      if (!this.#send(model, device, nowUs)) (tried ??= new Set()).add(model);
      this.#settle(model);
    }
    while (device.outstanding.size > 1) {
      const model = this.#mostUrgent(device, tried, nowUs);
      if (model === undefined || this.#spilling.overtaken(model, nowUs) !== device) break;
      if (!this.#send(model, device, nowUs)) (tried ??= new Set()).add(model);
      this.#settle(model);
    }
    this.#wakeFor(device, nowUs);
  }

  /** The next batch would not grow by waiting. */
  isFull(model: ModelState, { device }: DeviceState<Batch>): boolean {
    const usualRows = model.profileOn(device.class).usualRows(model.rowsMax);
    return model.queue.rowsThrough(2) >= usualRows;
  }

  /** What the most urgent ticket would rather have; undefined where all devices are alike. */
  #wish(model: ModelState, tier: Tier): Wish | undefined {
    if (!this.#pool.hasPlaces) return undefined;
    const zone = this.#zones.of(model.queue.peek()?.ingress ?? "");
    return { tier, zone, isAtRisk: this.#isAtRisk };
  }

  #settle(model: ModelState): void {
    if (model.queue.size > 0) {
      this.#models.waiting.add(model);
      return;
    }
    this.#models.waiting.delete(model);
    this.#letGo(model);
  }

  #letGo(model: ModelState): void {
    if (model.held === undefined) return;
    model.held = undefined;
    model.heldFor = undefined;
    this.#holds.delete(model);
  }

  #mostUrgent(
    device: DeviceState<Batch>,
    tried: ReadonlySet<ModelState> | undefined,
    nowUs: number,
  ): ModelState | undefined {
    if (this.#models.waiting.size === 0) return undefined;
    let best: ModelState | undefined;
    let bestTier = 3;
    let bestStartUs = Infinity;
    for (const model of this.#waits.candidates(device)) {
      const topTier = model.queue.topTier;
      if (topTier === undefined || topTier > bestTier || tried?.has(model)) continue;
      const spills = this.#spilling.spills(model, device, topTier, nowUs);
      if (!spills && model.queue.batchRows === 0) continue;
      const tier = spills ? topTier : 2;
      if (tier > bestTier) continue;
      const head = model.queue.peek() as Queued;
      const profile = model.profileOn(device.device.class);
      const latestStartUs = head.deadlineUs - profile.estimateUs(head.ticket.rows);
      if (tier === bestTier && latestStartUs >= bestStartUs) continue;
      best = model;
      bestTier = tier;
      bestStartUs = latestStartUs;
    }
    return best;
  }

  /** Forms a batch and sends it; false when the device gets nothing. */
  #send(model: ModelState, device: DeviceState<Batch>, nowUs: number): boolean {
    if (model.spec === undefined) return false;
    const profile = model.profileOn(device.device.class);
    if (this.#holdsBack(model, device, nowUs)) return false;
    const isTry = this.#failing.tries(device, model.ref);
    const limits = this.#limitsFor(isTry ? 1 : profile.bestRows(model.rowsMax));
    const isBusy = device.outstanding.size > 0;
    const topTier = model.queue.topTier ?? 2;
    const isForBatch = this.#spilling.isForBatch(model, device, topTier, nowUs);
    const startUs = Math.max(nowUs, device.freeForUs(isForBatch ? 2 : topTier));
    const accepts = ({ avoid, ticket }: Queued): boolean =>
      avoid !== device.id && !(ticket.alone && isBusy);
    const only = isForBatch ? "batch" : undefined;
    const formed = formBatch(model.queue, profile, limits, nowUs, startUs, accepts, only);
    for (const missed of formed.missed) this.#missed(model, missed, device, nowUs);
    if (formed.entries.length === 0) return false;
    this.#letGo(model);
    const { meanUs } = formed;
    const batch: Batch = { model, entries: formed.entries, rows: formed.rows };
    const alone = formed.entries[0]?.ticket.alone === true;
    const id = device.sent(batch, formed.tier, meanUs, nowUs, alone);
    model.lastUsedUs = nowUs;
    this.rowsSent += formed.rows;
    this.batchesSent++;
    this.#effects.push({
      type: "assign",
      worker: device.id,
      frame: {
        scheduler: this.#options.id,
        id,
        incarnation: device.incarnation,
        model: model.ref,
        tier: formed.tier,
        startWithinUs: Math.max(0, formed.latestStartUs - nowUs),
        expectedUs: meanUs,
        items: formed.entries.map((entry) => itemOf(entry, nowUs)),
      },
    });
    this.#failing.sent(device, model.ref, nowUs);
    if (!this.#pool.takes(device, nowUs)) this.#wakeFor(device, nowUs);
    return true;
  }

  /** A ticket is given back where another device may still make it, to the place that it had. */
  #missed(
    model: ModelState,
    { entry, tier }: Placed,
    device: DeviceState<Batch>,
    nowUs: number,
  ): void {
    if (this.#isMadeElsewhere(model, entry, device, nowUs)) {
      model.queue.restore(entry, tier);
      return;
    }
    const message = "no device can finish it before its deadline";
    model.noteDropped(entry, nowUs);
    this.#effects.refuseQueued(entry, "DEADLINE_UNREACHABLE", message, nowUs);
  }

  #isMadeElsewhere(
    model: ModelState,
    { deadlineUs, ticket }: Queued,
    device: DeviceState<Batch>,
    nowUs: number,
  ): boolean {
    for (const other of this.#pool.sample(model.ref)) {
      if (other === device || !other.available) continue;
      const endUs = this.#waits.endsUs(model, other, ticket.tier, ticket.rows, nowUs);
      if (endUs + this.#options.marginUs <= deadlineUs) return true;
    }
    return false;
  }

  /** Holds a short queue back once, while company is worth waiting for and nothing is urgent. */
  #holdsBack(model: ModelState, device: DeviceState<Batch>, nowUs: number): boolean {
    if (device.freeAtUs > nowUs) return false;
    const head = model.queue.peek();
    if (head === undefined || head.ticket.alone) return false;
    if (model.held !== undefined) {
      // The device that it was held for has come.
      if (model.heldFor !== undefined && model.heldFor === device.zone) return false;
      return model.held === head && model.holdUntilUs > nowUs;
    }
    const profile = model.profileOn(device.device.class);
    const rows = Math.min(model.rowsMax, model.queue.rowsThrough(2));
    const companyUs = worthWaitingUs(profile, rows, model.rowsMax, model.arrivals.expected);
    const nearUs = companyUs > 0 ? 0 : this.#nearUs(model, device, head, nowUs);
    const waitUs = Math.max(companyUs, nearUs);
    if (waitUs === 0) return false;
    const slackUs = head.deadlineUs - nowUs - profile.estimateUs(model.rowsMax);
    if (slackUs <= waitUs) return false;
    model.held = head;
    model.heldFor = nearUs > 0 ? this.#zones.of(head.ingress) : undefined;
    model.holdUntilUs = nowUs + Math.ceil(waitUs);
    this.#holds.add(model);
    return true;
  }

  /**
   * How long to wait for a device in the caller's zone in place of this one elsewhere; 0 where none
   * there is free within the time that the crossing is worth.
   */
  #nearUs(
    model: ModelState,
    device: DeviceState<Batch>,
    { ingress, ticket }: Queued,
    nowUs: number,
  ): number {
    if (!this.#pool.hasPlaces || device.zone === undefined) return 0;
    const zone = this.#zones.of(ingress);
    if (zone === undefined || zone === device.zone) return 0;
    // What would go with it is taken to be like it.
    const bytes = ticket.bodyBytes * Math.min(model.queue.size, model.rowsMax);
    const worthUs = worthWaitingNearUs(bytes, this.#options);
    for (const near of this.#pool.sample(model.ref)) {
      if (near.zone !== zone || near.accelerator !== device.accelerator) continue;
      const inUs = Math.max(near.freeAtUs, this.#pool.takesAtUs(near)) - nowUs;
      if (inUs > 0 && inUs <= worthUs) return worthUs;
    }
    return 0;
  }

  #wakeFor(device: DeviceState<Batch>, nowUs: number): void {
    let atUs = this.#pool.takesAtUs(device);
    const fullAtUs = atUs + this.#options.leadUs - device.fullLeadUs;
    if (fullAtUs > nowUs) atUs = fullAtUs;
    if (Number.isFinite(atUs) && atUs > nowUs) this.#wakes.push({ atUs: Math.ceil(atUs), device });
  }

  #limitsFor(rowsMax: number): BatchLimits {
    let limits = this.#limits.get(rowsMax);
    if (limits === undefined) {
      const { sliceUsMax, marginUs, fetchUs } = this.#options;
      limits = { rowsMax, sliceUsMax, marginUs, fetchUs };
      this.#limits.set(rowsMax, limits);
    }
    return limits;
  }
}

function itemOf(entry: Queued, nowUs: number): AssignmentItem {
  const { ticket } = entry;
  return {
    ingress: entry.ingress,
    seq: ticket.seq,
    attempt: ticket.attempt,
    tier: ticket.tier,
    remote: ticket.remote,
    rows: ticket.rows,
    length: ticket.length,
    remainingUs: Math.max(0, entry.deadlineUs - nowUs),
    queuedUs: nowUs - entry.arrivedUs,
    bodyBytes: ticket.bodyBytes,
    tail: ticket.tail,
  };
}
