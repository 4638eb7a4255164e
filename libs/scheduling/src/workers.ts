/**
 * Keeps the picture of every worker in step with its heartbeats, and ends what a lost one held.
 *
 * A batch is over when its `done` arrives, when the worker is lost or restarted, or when heartbeats
 * show that the worker does not hold it: seen and gone, or never seen. In the last two cases its
 * requests are refused as WORKER_LOST; the ingress ignores that for requests already answered (I1).
 */

import { Membership } from "@millrace/membership";
import { type DevicePool, DeviceState, type Outstanding } from "@millrace/placement";
import type { DoneFrame, WorkerHeartbeat } from "@millrace/protocol";
import { isShortOfRoom } from "@millrace/residency";
import type { Batch, Dispatching } from "./dispatching.ts";
import type { Effects } from "./effects.ts";
import type { Models } from "./models.ts";
import type { SchedulerOptions } from "./options.ts";

/** Estimates may be wrong by this factor before a device that works counts as wedged. */
const PATIENCE = 4;

export class Workers {
  readonly #options: SchedulerOptions;
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #effects: Effects;
  readonly #dispatching: Dispatching;
  readonly membership: Membership;
  /** When a model became ready on a device, for the residency plan. */
  readonly #readyAtUs = new Map<string, number>();

  constructor(
    options: SchedulerOptions,
    models: Models,
    pool: DevicePool<Batch>,
    effects: Effects,
    dispatching: Dispatching,
  ) {
    this.#options = options;
    this.#models = models;
    this.#pool = pool;
    this.#effects = effects;
    this.#dispatching = dispatching;
    this.membership = new Membership(options);
  }

  readyAtUs(device: string, ref: string): number {
    return this.#readyAtUs.get(`${device} ${ref}`) ?? 0;
  }

  /** Returns true when what is resident changed. */
  heard(beat: WorkerHeartbeat, nowUs: number): boolean {
    const { id, incarnation } = beat;
    const heard = this.membership.heard(id, incarnation, nowUs, beat.state === "draining");
    let device = this.#pool.get(id);
    if (device !== undefined && heard === "restarted") {
      this.#abandon(device, "the worker restarted", nowUs);
      this.#pool.remove(device);
      device = undefined;
    }
    if (device === undefined) {
      device = new DeviceState<Batch>(beat);
      this.#pool.add(device);
    }
    const wedged = this.#isWedged(device, beat, nowUs);
    if (wedged && device.available) this.#suspect(device, "the device finishes nothing", nowUs);
    device.available = beat.state === "ready" && !wedged;
    device.device = beat.device;
    const changed = this.#readModels(device, beat, nowUs);
    this.#reconcile(device, beat, nowUs);
    this.#dispatching.feed(device, nowUs);
    return changed || heard === "joined" || heard === "returned";
  }

  done(frame: DoneFrame, nowUs: number): void {
    const device = this.#pool.get(frame.worker);
    if (device === undefined || device.incarnation !== frame.incarnation) return;
    const sent = device.outstanding.get(frame.id);
    if (sent === undefined) return;
    device.outstanding.delete(frame.id);
    if (frame.outcome === "ran") {
      sent.batch.model.profileOn(device.device.class).observe(frame.rows, frame.computeUs);
    }
    device.backlogHeard(frame.backlogUs, frame.id, nowUs);
    this.#dispatching.feed(device, nowUs);
  }

  /** The broker saw the worker's connection end. */
  lost(id: string, nowUs: number): boolean {
    if (!this.membership.lost(id)) return false;
    const device = this.#pool.get(id);
    if (device !== undefined) this.#suspect(device, "the worker's connection ended", nowUs);
    return true;
  }

  /** Silent workers take no new work, and what they held is tried elsewhere. */
  expire(nowUs: number): boolean {
    const suspects = this.membership.expire(nowUs);
    for (const id of suspects) {
      const device = this.#pool.get(id);
      if (device !== undefined) this.#suspect(device, "the worker fell silent", nowUs);
    }
    for (const device of this.#pool.values()) {
      if (!device.available && !this.membership.knows(device.id)) this.#pool.remove(device);
    }
    return suspects.length > 0;
  }

  /** It holds work, and has finished none of it for far longer than all of it should take. */
  #isWedged(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): boolean {
    const { progress, inFlight, backlogUs } = beat;
    if (inFlight === 0) device.progressDueUs = Infinity;
    else if (progress !== device.progress || device.progressDueUs === Infinity) {
      device.progressDueUs = nowUs + this.#options.wedgedAfterUs + PATIENCE * backlogUs;
    }
    device.progress = progress;
    return nowUs >= device.progressDueUs;
  }

  #suspect(device: DeviceState<Batch>, why: string, nowUs: number): void {
    device.available = false;
    this.#abandon(device, why, nowUs);
  }

  #abandon(device: DeviceState<Batch>, why: string, nowUs: number): void {
    for (const sent of device.outstanding.values()) this.#giveUp(sent, why);
    device.outstanding.clear();
    device.freeAtUs = nowUs;
  }

  #giveUp(sent: Outstanding<Batch>, why: string): void {
    for (const entry of sent.batch.entries) {
      const queuedUs = sent.sentUs - entry.arrivedUs;
      this.#effects.refuse(entry.ingress, entry.ticket, "WORKER_LOST", why, Math.max(0, queuedUs));
    }
  }

  #readModels(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): boolean {
    if (beat.models === undefined || beat.modelsRevision === device.modelsRevision) return false;
    device.modelsRevision = beat.modelsRevision;
    device.residents = beat.models;
    const ready = new Set<string>();
    for (const resident of beat.models) {
      if (isShortOfRoom(resident)) {
        const model = this.#models.ensure(resident.ref);
        if (model) model.measuredBytes = Math.max(model.measuredBytes, resident.bytes);
      }
      if (resident.state !== "ready") continue;
      ready.add(resident.ref);
      if (device.ready.has(resident.ref)) continue;
      this.#readyAtUs.set(`${device.id} ${resident.ref}`, nowUs);
      const model = this.#models.ensure(resident.ref);
      if (model === undefined) continue;
      model.measuredBytes = Math.max(model.measuredBytes, resident.bytes);
      if (resident.warmUs) model.profileOn(device.device.class).seed(resident.warmUs);
    }
    for (const ref of device.ready.keys()) {
      if (!ready.has(ref)) this.#readyAtUs.delete(`${device.id} ${ref}`);
    }
    this.#pool.setReady(device, ready);
    return true;
  }

  #reconcile(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): void {
    const known = beat.assignments[this.#options.id];
    const seen = known?.seen ?? 0;
    for (const sent of device.outstanding.values()) {
      if (nowUs - sent.sentUs < this.#options.lostAfterUs) continue;
      if (known?.held.includes(sent.id)) continue;
      device.outstanding.delete(sent.id);
      this.#giveUp(sent, "the worker does not hold the batch");
    }
    device.backlogHeard(beat.backlogUs, seen, nowUs);
  }
}
