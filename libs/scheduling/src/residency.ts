/**
 * Puts the residency plan into commands, when this scheduler is the one to decide.
 *
 * One scheduler decides for all: the rendezvous owner of a fixed key. The others tell it what waits
 * with them in their heartbeats. A command that the worker's heartbeat does not show yet is treated
 * as done, for a while, so that a plan made meanwhile does not give it twice.
 */

import type { Membership } from "@millrace/membership";
import type { DevicePool, DeviceState } from "@millrace/placement";
import { type ModelLoad, modelRef, type SchedulerHeartbeat, splitRef } from "@millrace/protocol";
import {
  type DeviceView,
  isShortOfRoom,
  type ModelView,
  planResidency,
  type ResidencyAction,
  type ResidentView,
} from "@millrace/residency";
import type { Batch } from "./dispatching.ts";
import type { Effects } from "./effects.ts";
import type { Failing } from "./failing.ts";
import type { ModelState, Models } from "./models.ts";
import type { SchedulerOptions } from "./options.ts";
import type { Waits } from "./waits.ts";
import type { Workers } from "./workers.ts";

const KEY = "residency";
/** A version that was replaced stays this long after its last request. */
const KEEP_US = 5_000_000;

const SECOND_US = 1_000_000;

/** Between plans while nothing waits and nothing changed. */
const IDLE_PLAN_US = 1_000_000;

interface Given {
  readonly action: ResidencyAction;
  readonly untilUs: number;
  readonly bytes: number;
}

export class Residency {
  readonly #options: SchedulerOptions;
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #effects: Effects;
  readonly #workers: Workers;
  readonly #waits: Waits;
  readonly #schedulers: Membership;
  readonly #failing: Failing;
  readonly #given = new Map<string, Given>();
  #registry: "unread" | "read" = "unread";
  #dueUs = 0;
  #lastUs = -Infinity;

  constructor(
    options: SchedulerOptions,
    models: Models,
    pool: DevicePool<Batch>,
    effects: Effects,
    workers: Workers,
    waits: Waits,
    schedulers: Membership,
    failing: Failing,
  ) {
    this.#options = options;
    this.#models = models;
    this.#pool = pool;
    this.#effects = effects;
    this.#workers = workers;
    this.#waits = waits;
    this.#schedulers = schedulers;
    this.#failing = failing;
  }

  /** What waits at another scheduler. */
  heard(heartbeat: SchedulerHeartbeat, nowUs: number): void {
    for (const load of heartbeat.loads) {
      const model = this.#models.get(load.ref);
      if (model === undefined) continue;
      if (load.queuedRows > 0 || load.rowsPerSecond > 0) model.lastUsedUs = nowUs;
      if (load.queuedRows > 0) this.request();
    }
  }

  /** Before it knows the registry, a new scheduler would take every model for an unwanted one. */
  begin(): void {
    this.#registry = "read";
    this.request();
  }

  /** Something changed that a plan may answer, this long after the last one at the earliest. */
  request(afterUs = this.#options.planUs): void {
    this.#dueUs = Math.min(this.#dueUs, this.#lastUs + afterUs);
  }

  get wakeAtUs(): number {
    return this.decides ? this.#dueUs : Infinity;
  }

  get knowsRegistry(): boolean {
    return this.#registry === "read";
  }

  get decides(): boolean {
    return this.knowsRegistry && this.#schedulers.owner(KEY) === this.#options.id;
  }

  planIfDue(nowUs: number): void {
    if (nowUs < this.#dueUs || !this.decides) return;
    this.#lastUs = nowUs;
    // Models that wait may need a copy later; otherwise only what was replaced goes with time.
    const waits = this.#models.waiting.size > 0 || this.#waitsElsewhere();
    this.#dueUs = nowUs + (waits ? this.#options.heartbeatUs : IDLE_PLAN_US);
    for (const [key, given] of this.#given) if (given.untilUs <= nowUs) this.#given.delete(key);
    const view = { devices: this.#deviceViews(), models: this.#modelViews(nowUs) };
    const readyAt = (device: string, ref: string): number => this.#workers.readyAtUs(device, ref);
    const actions = planResidency(view, readyAt, nowUs, this.#options.residency);
    for (const action of actions) this.#give(action, nowUs);
    // A plan gives a model one copy at a time: what it gave may call for the next.
    if (actions.length > 0) this.#dueUs = nowUs + this.#options.planUs;
  }

  #waitsElsewhere(): boolean {
    for (const { loads } of this.#waits.elsewhere) {
      if (loads.some(({ queuedRows }) => queuedRows > 0)) return true;
    }
    return false;
  }

  #give(action: ResidencyAction, nowUs: number): void {
    const { device: worker, why } = action;
    const by = this.#options.id;
    const model = this.#models.get(action.ref);
    if (action.type === "load") {
      if (model?.spec === undefined) return;
      const command = { v: 1, kind: "load", spec: model.spec, by } as const;
      this.#effects.push({ type: "command", worker, command, why });
    } else {
      const command = { v: 1, kind: "unload", ref: action.ref, by } as const;
      this.#effects.push({ type: "command", worker, command, why });
    }
    const bytes = action.type === "load" ? (model?.loadBytes ?? 0) : 0;
    // What no heartbeat shows by then was lost, and may be given again.
    const untilUs = nowUs + this.#options.lostAfterUs;
    this.#given.set(`${action.device} ${action.ref}`, { action, untilUs, bytes });
  }

  #deviceViews(): DeviceView[] {
    const views: DeviceView[] = [];
    for (const device of this.#pool.values())
      if (device.available) views.push(this.#viewOf(device));
    return views;
  }

  #viewOf(device: DeviceState<Batch>): DeviceView {
    const busy = new Set([...device.outstanding.values()].map((sent) => sent.batch.model.ref));
    const residents: ResidentView[] = [];
    const shown = new Set<string>();
    let freeBytes = device.device.memoryFreeBytes;
    for (const resident of device.residents.values()) {
      const { ref, state, bytes } = resident;
      const failing = resident.failing === true;
      const stale = this.#models.get(ref)?.isOtherThan(resident) === true;
      shown.add(ref);
      const given = this.#given.get(`${device.id} ${ref}`);
      const leaving = given?.action.type === "unload" && state === "ready";
      // Tried again once there was room: the failure that is shown may be the one before.
      const again = given?.action.type === "load" && isShortOfRoom({ state, bytes });
      if (again) freeBytes -= given.bytes;
      else if (given?.action.type === "load" && state !== "unloading") {
        this.#given.delete(`${device.id} ${ref}`);
      }
      const now = leaving ? "unloading" : again ? "loading" : state;
      residents.push({ ref, state: now, bytes, busy: busy.has(ref), stale, failing });
    }
    for (const { action, bytes } of this.#given.values()) {
      if (action.device !== device.id || action.type !== "load" || shown.has(action.ref)) continue;
      const { ref } = action;
      residents.push({ ref, state: "loading", bytes, busy: false, stale: false, failing: false });
      freeBytes -= bytes;
    }
    const { accelerator, id } = device;
    return { id, accelerator, totalBytes: device.device.memoryTotalBytes, freeBytes, residents };
  }

  #modelViews(nowUs: number): Map<string, ModelView> {
    const elsewhere = new Map<string, ModelLoad>();
    for (const { loads } of this.#waits.elsewhere) {
      for (const load of loads) elsewhere.set(load.ref, load);
    }
    const views = new Map<string, ModelView>();
    for (const model of this.#models.values()) {
      if (model.spec === undefined) continue;
      const other = elsewhere.get(model.ref);
      const rowsPerSecond = model.arrivals.rowsPerSecond(nowUs) + (other?.rowsPerSecond ?? 0);
      views.set(model.ref, {
        ref: model.ref,
        bytes: model.loadBytes,
        wanted: model.wanted,
        keep: !model.wanted && this.#keeps(model, nowUs),
        queuedRows: model.queue.rowsThrough(2) + (other?.missed ? 0 : (other?.queuedRows ?? 0)),
        missed:
          model.isMissed(nowUs) ||
          other?.missed === true ||
          this.#failsAskers(model, nowUs) ||
          this.#succeeds(model),
        waitUs: Math.max(this.#waitUs(model), other?.waitUs ?? 0),
        rowsPerSecond,
        busyDevices: (rowsPerSecond * model.fastestRowUs) / SECOND_US,
        lastUsedUs: model.lastUsedUs,
      });
    }
    return views;
  }

  /**
   * Those who ask are answered that their runs fail, and do not wait: but for that a copy elsewhere
   * would be called for, and kept, as it is for those who wait.
   */
  #failsAskers({ ref, lastUsedUs }: ModelState, nowUs: number): boolean {
    return nowUs - lastUsedUs < this.#options.missedForUs && this.#failing.has(ref);
  }

  /**
   * Nobody asks for a version as long as the one before answers in its place: where memory is full
   * it would never be there.
   */
  #succeeds({ ref, wanted }: ModelState): boolean {
    if (!wanted || this.#pool.holders(ref).size > 0) return false;
    const { name } = splitRef(ref);
    const versions = Object.values(this.#models.record(name)?.versions ?? {});
    return versions.some(({ version }) => this.#pool.holders(modelRef(name, version)).size > 0);
  }

  /** A replaced version goes on answering until its successor is ready, and a little longer. */
  #keeps(model: ModelState, nowUs: number): boolean {
    const record = this.#models.record(splitRef(model.ref).name);
    if (record === undefined || !record.loaded) return false;
    const successor = modelRef(record.name, record.active);
    return this.#pool.holders(successor).size === 0 || nowUs - model.lastUsedUs < KEEP_US;
  }

  #waitUs(model: ModelState): number {
    const holders = this.#pool.holders(model.ref).size;
    return this.#waits.queueUs(model, 2, holders);
  }
}
