/**
 * Keeps the picture of every worker in step with its heartbeats, and ends what a lost one held.
 *
 * A batch is over when its `done` arrives, when the worker is lost or restarted, or when heartbeats
 * show that the worker does not hold it: seen and gone, or never seen. But for the first, its
 * requests are refused; the ingress ignores that for requests already answered (I1). WORKER_LOST
 * says that a process or a device ended, which an input can bring about; BATCH_LOST says that the
 * worker fell silent or never had the batch, for which no input is to blame.
 */

import type { Queued } from "@millrace/batching";
import { Membership } from "@millrace/membership";
import { type DevicePool, DeviceState, type Outstanding } from "@millrace/placement";
import {
  type DeviceClass,
  type DoneFrame,
  type Fault,
  fault,
  type WorkerHeartbeat,
  workerProcess,
} from "@millrace/protocol";
import type { Batch, Dispatching } from "./dispatching.ts";
import type { Effects } from "./effects.ts";
import type { Failing } from "./failing.ts";
import { nextLeadUs } from "./lead.ts";
import type { Loads } from "./loads.ts";
import type { Models } from "./models.ts";
import type { SchedulerOptions } from "./options.ts";

/** Estimates may be wrong by this factor before a device that works counts as wedged. */
const PATIENCE = 4;

const ENDED = {
  restarted: fault("WORKER_LOST", "the worker restarted"),
  wedged: fault("WORKER_LOST", "the device finishes nothing"),
  disconnected: fault("WORKER_LOST", "the worker's connection ended"),
};
const SILENT = fault("BATCH_LOST", "the worker fell silent");
const NOT_HELD = fault("BATCH_LOST", "the worker does not hold the batch");

export class Workers {
  readonly #options: SchedulerOptions;
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #effects: Effects;
  readonly #dispatching: Dispatching;
  readonly #loads: Loads;
  readonly #failing: Failing;
  readonly membership: Membership;
  /** When a model became ready on a device, for the residency plan. */
  readonly #readyAtUs = new Map<string, number>();

  constructor(
    options: SchedulerOptions,
    models: Models,
    pool: DevicePool<Batch>,
    effects: Effects,
    dispatching: Dispatching,
    loads: Loads,
    failing: Failing,
  ) {
    this.#options = options;
    this.#models = models;
    this.#pool = pool;
    this.#effects = effects;
    this.#dispatching = dispatching;
    this.#loads = loads;
    this.#failing = failing;
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
      this.#abandon(device, ENDED.restarted, nowUs);
      this.#remove(device);
      device = undefined;
    }
    if (device === undefined) {
      device = new DeviceState<Batch>(beat, beat.assignments[this.#options.id]?.seen);
      [device.fullLeadUs] = this.#options.fullLeadUs;
      this.#pool.add(device);
    }
    const wedged = this.#isWedged(device, beat, nowUs);
    if (wedged && device.available) this.#suspect(device, ENDED.wedged, nowUs);
    device.available = beat.state === "ready" && !wedged;
    const seen = beat.assignments[this.#options.id]?.seen ?? 0;
    device.lastTaken = beat.state === "ready" ? undefined : seen;
    device.device = beat.device;
    const changed = this.#readModels(device, beat, nowUs);
    this.#reconcile(device, beat, nowUs);
    this.#reviewFailing(nowUs);
    this.#dispatching.feed(device, nowUs);
    return changed || heard === "joined" || heard === "returned";
  }

  done(frame: DoneFrame, nowUs: number): void {
    const device = this.#pool.get(frame.worker);
    if (device === undefined || device.incarnation !== frame.incarnation) return;
    const sent = device.outstanding.get(frame.id);
    if (sent === undefined) return;
    device.ended(frame.id);
    if (frame.outcome === "ran") {
      this.#failing.ran(device, frame.model, nowUs);
      sent.batch.model.profileOn(device.device.class).observe(frame.rows, frame.computeUs);
      calibrate(sent.batch, nowUs);
      this.#learnLead(device, sent.batch, frame.backlogUs === 0);
    }
    device.progressed(frame.backlogUs, nowUs);
    device.backlogHeard(frame.backlogUs, frame.seen, nowUs);
    this.#dispatching.feed(device, nowUs);
  }

  /** A device that is dry while a full batch is under way, or could be, should have had it. */
  #learnLead(device: DeviceState<Batch>, { model }: Batch, isDry: boolean): void {
    const isWanted = device.outstanding.size > 0 || this.#dispatching.isFull(model, device);
    const { fullLeadUs } = this.#options;
    device.fullLeadUs = nextLeadUs(device.fullLeadUs, isDry && isWanted, fullLeadUs);
  }

  /**
   * The broker may have been away from the workers as well: what is sent to one that is not back
   * yet is gone, and is missed only after a while. The next beat of each says that it is there.
   */
  unheard(): void {
    for (const device of this.#pool.values()) device.available = false;
  }

  /** The broker saw the worker's connection end. */
  lost(id: string, nowUs: number): boolean {
    if (!this.membership.lost(id)) return false;
    const device = this.#pool.get(id);
    if (device !== undefined) this.#suspect(device, ENDED.disconnected, nowUs);
    this.#reviewFailing(nowUs);
    return true;
  }

  /** A copy that fails is better than none: it may have work as soon as no other is well. */
  #reviewFailing(nowUs: number): void {
    for (const device of this.#failing.review(nowUs)) this.#dispatching.feed(device, nowUs);
  }

  /** Silent workers take no new work, and what they held is tried elsewhere. */
  expire(nowUs: number): boolean {
    const suspects = this.membership.expire(nowUs);
    for (const id of suspects) {
      const device = this.#pool.get(id);
      if (device !== undefined) this.#suspect(device, SILENT, nowUs);
    }
    for (const device of this.#pool.values()) {
      if (!device.available && !this.membership.knows(device.id)) this.#remove(device);
    }
    this.#reviewFailing(nowUs);
    return suspects.length > 0;
  }

  /** Nothing is predicted from the times of devices that are no more. */
  #forgetClass(gone: DeviceClass): void {
    for (const { device } of this.#pool.values()) if (device.class === gone) return;
    for (const model of this.#models.values()) model.profiles.delete(gone);
  }

  #remove(device: DeviceState<Batch>): void {
    for (const ref of device.ready.keys()) this.#readyAtUs.delete(`${device.id} ${ref}`); // I6
    this.#pool.remove(device);
    this.#forgetClass(device.device.class);
    this.#failing.forget(device);
    this.#loads.gone(device.id);
  }

  /** It holds work, and has finished none of it for far longer than all of it should take. */
  #isWedged(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): boolean {
    const { progress, inFlight, backlogUs } = beat;
    if (inFlight === 0) device.progressDueUs = Infinity;
    else if (progress !== device.progress || device.progressDueUs === Infinity) {
      device.progressDueUs = nowUs + this.#options.wedgedAfterUs + PATIENCE * backlogUs;
    }
    if (progress !== device.progress) device.progressed(backlogUs, nowUs);
    device.progress = progress;
    return nowUs >= device.progressDueUs;
  }

  #suspect(device: DeviceState<Batch>, why: Fault, nowUs: number): void {
    device.available = false;
    this.#abandon(device, why, nowUs);
  }

  #abandon(device: DeviceState<Batch>, why: Fault, nowUs: number): void {
    const { lastTaken = Infinity } = device;
    const told = new Set<string>();
    for (const sent of device.outstanding.values()) {
      this.#giveUp(device, sent, sent.id <= lastTaken ? why : NOT_HELD, told);
    }
    device.outstanding.clear();
    device.freeAtUs = nowUs;
  }

  /** A request that had two tickets on the device lost one worker with them. */
  #giveUp(
    { id, incarnation }: DeviceState<Batch>,
    sent: Outstanding<Batch>,
    why: Fault,
    told = new Set<string>(),
  ): void {
    for (const { ingress, ticket, arrivedUs } of sent.batch.entries) {
      const key = `${ingress} ${ticket.seq}`;
      const { code, message } = told.has(key) ? NOT_HELD : why;
      told.add(key);
      const queuedUs = Math.max(0, sent.sentUs - arrivedUs);
      const lost = code === "WORKER_LOST" ? workerProcess(id, incarnation) : "";
      this.#effects.refuse(ingress, ticket, code, message, queuedUs, lost);
    }
  }

  #readModels(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): boolean {
    if (beat.models === undefined || beat.modelsRevision === device.modelsRevision) return false;
    device.modelsRevision = beat.modelsRevision;
    device.residents = new Map(beat.models.map((resident) => [resident.ref, resident]));
    this.#loads.heard(device.id, beat.models, nowUs);
    this.#judgeModels(device, nowUs);
    return true;
  }

  /** The registry spoke of these versions: what devices hold of them may be other bytes now. */
  reread(refs: readonly string[], nowUs: number): void {
    for (const device of this.#pool.values()) {
      if (!refs.some((ref) => device.residents.has(ref))) continue;
      this.#judgeModels(device, nowUs);
      this.#dispatching.feed(device, nowUs);
    }
  }

  /** A copy counts once the registry has its version, and from the bytes that it has now (I8). */
  #judgeModels(device: DeviceState<Batch>, nowUs: number): void {
    const ready = new Set<string>();
    const failing: string[] = [];
    for (const resident of device.residents.values()) {
      const model = this.#models.get(resident.ref);
      if (model?.spec === undefined || model.isOtherThan(resident)) continue;
      if (resident.state !== "ready") continue;
      ready.add(resident.ref);
      if (resident.failing) failing.push(resident.ref);
      if (device.ready.has(resident.ref)) continue;
      this.#readyAtUs.set(`${device.id} ${resident.ref}`, nowUs);
      model.measuredBytes = Math.max(model.measuredBytes, resident.bytes);
      if (resident.warmUs) model.profileOn(device.device.class).seed(resident.warmUs);
    }
    for (const ref of device.ready.keys()) {
      if (!ready.has(ref)) this.#readyAtUs.delete(`${device.id} ${ref}`);
    }
    this.#failing.heard(device, failing, nowUs);
    for (const ref of failing) if (this.#failing.spares(device, ref, nowUs)) ready.delete(ref);
    this.#pool.setReady(device, ready);
  }

  #reconcile(device: DeviceState<Batch>, beat: WorkerHeartbeat, nowUs: number): void {
    const known = beat.assignments[this.#options.id];
    const seen = known?.seen ?? 0;
    for (const sent of device.outstanding.values()) {
      if (nowUs - sent.sentUs < this.#options.lostAfterUs) continue;
      if (known?.held.includes(sent.id)) continue;
      device.ended(sent.id);
      this.#giveUp(device, sent, NOT_HELD);
    }
    device.backlogHeard(beat.backlogUs, seen, nowUs);
  }
}

/** By the one of each tier in the batch that was worst predicted. */
function calibrate({ model, entries }: Batch, nowUs: number): void {
  const worst: (Queued | undefined)[] = [];
  const excessUs = ({ arrivedUs, predictedUs }: Queued): number => nowUs - arrivedUs - predictedUs;
  for (const entry of entries) {
    const { tier } = entry.ticket;
    const other = worst[tier];
    if (other === undefined || excessUs(entry) > excessUs(other)) worst[tier] = entry;
  }
  for (const tier of [0, 1, 2] as const) {
    const entry = worst[tier];
    if (entry === undefined) continue;
    model.calibrations[tier].observe(entry.predictedUs, nowUs - entry.arrivedUs, nowUs);
  }
}
