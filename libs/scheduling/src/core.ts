/**
 * The scheduler: queues per model and tier, batches bound late, placement on devices, residency of
 * models in device memory. One entry over plain records; time comes in, effects go out.
 *
 * Upholds I1 for what it is given: every ticket ends in exactly one of an assignment, a refusal, or
 * (cancelled) nothing. I3: no batch exceeds its model's limit. I4: a device is sent at most one
 * batch beyond the one that runs, and batches are cut to their tier's slice. I6: queues are
 * bounded.
 */

import { DevicePool } from "@millrace/placement";
import { Membership } from "@millrace/membership";
import type { ModelLoad, ModelRecord, TicketFrame } from "@millrace/protocol";
import { modelRef } from "@millrace/protocol";
import { unreachable } from "@millrace/std";
import { Admitting } from "./admitting.ts";
import { type Batch, Dispatching } from "./dispatching.ts";
import { Effects } from "./effects.ts";
import { Failing } from "./failing.ts";
import type { SchedulerEffect, SchedulerEvent } from "./events.ts";
import { Loads } from "./loads.ts";
import { type ModelState, Models } from "./models.ts";
import { SCHEDULER_DEFAULTS, type SchedulerOptions } from "./options.ts";
import { Residency } from "./residency.ts";
import { Workers } from "./workers.ts";
import { Waits } from "./waits.ts";
import { Zones } from "./zones.ts";

/** What people see of a scheduler in `nats micro stats` and metrics. */
export interface SchedulerFigures {
  readonly queuedTickets: number;
  readonly queuedRows: number;
  readonly models: number;
  readonly workers: number;
  readonly rowsSent: number;
  readonly batchesSent: number;
  readonly decidesResidency: boolean;
}

/** Least time between a beat and one that is sent early because a model without a copy has work. */
const EARLY_BEAT_US = 10_000;

export class SchedulerCore {
  readonly #options: SchedulerOptions;
  readonly #effects = new Effects();
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #zones = new Zones();
  readonly #waits: Waits;
  readonly #dispatching: Dispatching;
  readonly #admitting: Admitting;
  readonly #workers: Workers;
  readonly #schedulers: Membership;
  readonly #residency: Residency;
  #draining = false;
  #beat = 0;
  #breaks = 0;
  #beatAtUs = 0;
  #beatenUs = 0;
  #sweepAtUs = Infinity;
  /** Since when no worker is there; undefined while one is. A start of the clock says nothing. */
  #aloneSinceUs: number | undefined = Infinity;

  constructor(options: Pick<SchedulerOptions, "id" | "incarnation"> & Partial<SchedulerOptions>) {
    this.#options = { ...SCHEDULER_DEFAULTS, ...options };
    const { queueTicketsMax: ticketsMax, ageAfterUs } = this.#options;
    this.#models = new Models({ ticketsMax, ageAfterUs });
    this.#pool = new DevicePool(this.#options);
    this.#waits = new Waits(this.#models, this.#pool);
    const failing = new Failing(this.#pool, this.#options.failingRetryUs);
    this.#dispatching = new Dispatching(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#waits,
      this.#zones,
      failing,
    );
    const loads = new Loads(this.#models);
    this.#admitting = new Admitting(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#waits,
      loads,
    );
    this.#workers = new Workers(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#dispatching,
      loads,
      failing,
    );
    this.#schedulers = new Membership(this.#options);
    this.#residency = new Residency(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#workers,
      this.#waits,
      this.#schedulers,
      failing,
    );
  }

  step(event: SchedulerEvent, nowUs: number): readonly SchedulerEffect[] {
    if (this.#aloneSinceUs === Infinity) this.#aloneSinceUs = nowUs;
    this.#handle(event, nowUs);
    if (nowUs >= this.#beatAtUs) this.#tick(nowUs);
    this.#dispatching.wake(nowUs);
    this.#admitting.refuseDue(this.#aloneSinceUs !== undefined, nowUs);
    if (nowUs >= this.#sweepAtUs) this.#sweep(nowUs);
    if (this.#models.waiting.size === 0) this.#sweepAtUs = Infinity;
    else this.#sweepAtUs = Math.min(this.#sweepAtUs, nowUs + this.#options.sweepUs);
    this.#residency.planIfDue(nowUs);
    return this.#effects.flush();
  }

  get wakeAtUs(): number {
    return Math.min(
      this.#beatAtUs,
      this.#sweepAtUs,
      this.#admitting.wakeAtUs,
      this.#dispatching.wakeAtUs,
      this.#residency.wakeAtUs,
    );
  }

  /** True when a drain is over: nothing waits here and nothing is out. */
  get drained(): boolean {
    if (!this.#draining || this.#models.waiting.size > 0) return false;
    for (const device of this.#pool.values()) if (device.outstanding.size > 0) return false;
    return true;
  }

  get figures(): SchedulerFigures {
    let queuedTickets = 0;
    let queuedRows = 0;
    for (const model of this.#models.waiting) {
      queuedTickets += model.queue.size;
      queuedRows += model.queue.rowsThrough(2);
    }
    return {
      queuedTickets,
      queuedRows,
      models: [...this.#models.values()].filter((model) => model.spec !== undefined).length,
      workers: this.#workers.membership.alive.length,
      rowsSent: this.#dispatching.rowsSent,
      batchesSent: this.#dispatching.batchesSent,
      decidesResidency: this.#residency.decides,
    };
  }

  #handle(event: SchedulerEvent, nowUs: number): void {
    switch (event.type) {
      case "ticketsArrived":
        return this.#arrived(event.frame, nowUs);
      case "cancelled":
        return this.#cancelled(event.frame.ingress, event.frame.model, event.frame.seqs);
      case "batchDone":
        return this.#workers.done(event.frame, nowUs);
      case "workerBeat":
        this.#zones.workerHeard(event.heartbeat, nowUs);
        if (this.#workers.heard(event.heartbeat, nowUs)) this.#residency.request();
        if (this.#workers.membership.alive.length > 0) this.#aloneSinceUs = undefined;
        return;
      case "schedulerBeat": {
        const { id, incarnation, state } = event.heartbeat;
        if (id === this.#options.id) return;
        this.#schedulers.heard(id, incarnation, nowUs, state === "draining");
        this.#waits.heard(event.heartbeat);
        return this.#residency.heard(event.heartbeat, nowUs);
      }
      case "ingressBeat":
        return this.#zones.callerHeard(event.heartbeat, nowUs);
      case "disconnected":
        return this.#disconnected(event.name, nowUs);
      case "reconnected":
        this.#breaks++;
        this.#beatAtUs = nowUs;
        return this.#workers.unheard();
      case "modelChanged":
        return this.#modelChanged(event.record, nowUs);
      case "modelRemoved":
        this.#admitting.refuseRemoved(this.#models.removed(event.name), nowUs);
        return this.#residency.request();
      case "registryRead":
        return this.#residency.begin();
      case "woke":
        return;
      case "drainBegan":
        return this.#drain(nowUs);
      default:
        return unreachable(event);
    }
  }

  #modelChanged(record: ModelRecord, nowUs: number): void {
    // What it reads when it starts may be long unused: only what comes later is asked for.
    const askedUs = this.#residency.knowsRegistry ? nowUs : -Infinity;
    this.#admitting.refuseRemoved(this.#models.changed(record, askedUs), nowUs);
    const refs = Object.values(record.versions).map((spec) => modelRef(spec.name, spec.version));
    this.#workers.reread(refs, nowUs);
    this.#residency.request();
  }

  #arrived(frame: TicketFrame, nowUs: number): void {
    const phase = { draining: this.#draining, aloneSinceUs: this.#aloneSinceUs };
    const model = this.#admitting.arrived(frame, phase, nowUs);
    if (model === undefined) return;
    if (model.queue.size > 0) {
      this.#models.waiting.add(model);
      // Timers are late, and a device that is due takes the most urgent work, not the latest.
      this.#dispatching.wake(nowUs);
      this.#dispatching.dispatch(model, nowUs);
    }
    const isAway = this.#pool.holders(model.ref).size === 0;
    if (isAway && model.wantedRows(nowUs) > 0) this.#wanting(model);
  }

  #cancelled(ingress: string, ref: string, seqs: readonly number[]): void {
    const model = this.#models.get(ref);
    if (model === undefined) return;
    const gone = new Set(seqs);
    model.queue.take((entry) => entry.ingress === ingress && gone.has(entry.ticket.seq));
    if (model.queue.size === 0) this.#models.waiting.delete(model);
  }

  #disconnected(name: string, nowUs: number): void {
    if (this.#workers.lost(name, nowUs)) {
      this.#residency.request();
      this.#noteAlone(nowUs);
    }
    if (this.#schedulers.lost(name)) this.#waits.forget(name);
    this.#zones.callerLost(name);
  }

  #noteAlone(nowUs: number): void {
    if (this.#workers.membership.alive.length === 0) this.#aloneSinceUs ??= nowUs;
  }

  /** A model without a copy has work: whoever decides must know now, not at the next beat. */
  #wanting(model: ModelState): void {
    if (model.spec === undefined) return;
    if (this.#residency.decides) this.#residency.request();
    else this.#beatAtUs = Math.min(this.#beatAtUs, this.#beatenUs + EARLY_BEAT_US);
  }

  /** Heartbeat, and everything that silence decides. */
  #tick(nowUs: number): void {
    this.#schedulers.heard(this.#options.id, this.#options.incarnation, nowUs, this.#draining);
    for (const id of this.#schedulers.expire(nowUs)) this.#waits.forget(id);
    if (this.#workers.expire(nowUs)) this.#residency.request();
    this.#zones.expire(nowUs);
    this.#noteAlone(nowUs);
    this.#beatenUs = nowUs;
    this.#beatAtUs = nowUs + this.#options.heartbeatUs;
    this.#effects.push({
      type: "beat",
      heartbeat: {
        v: 1,
        id: this.#options.id,
        incarnation: this.#options.incarnation,
        beat: this.#beat++,
        state: this.#draining ? "draining" : "ready",
        breaks: this.#breaks,
        loads: this.#loads(nowUs),
      },
    });
  }

  #loads(nowUs: number): ModelLoad[] {
    const loads: ModelLoad[] = [];
    for (const model of this.#models.values()) {
      const rowsPerSecond = model.arrivals.rowsPerSecond(nowUs);
      const queuedRows = model.wantedRows(nowUs);
      if (queuedRows === 0 && rowsPerSecond === 0) continue;
      const batch = {
        queuedRows: model.batchRows(nowUs),
        rowsPerSecond: model.arrivals.batchRowsPerSecond(nowUs),
      };
      loads.push({
        ref: model.ref,
        queuedRows,
        ...(model.isMissed(nowUs) ? { missed: true } : {}),
        waitUs: this.#waits.waitUs(model, 1, nowUs),
        computeUs: Math.ceil(model.fastestUs(1)),
        ...(model.queue.size > 0 ? { queueUs: this.#waits.tiersUs(model, nowUs) } : {}),
        rowsPerSecond,
        ...(batch.queuedRows > 0 || batch.rowsPerSecond > 0 ? { batch } : {}),
      });
    }
    return loads;
  }

  /** Waiting tickets that nothing can serve any more end now, not when they are late. */
  #sweep(nowUs: number): void {
    this.#sweepAtUs = nowUs + this.#options.sweepUs;
    // What waits may need a copy more.
    this.#residency.request(this.#options.heartbeatUs);
    for (const model of this.#models.waiting) {
      this.#admitting.refuseUnservable(model, this.#aloneSinceUs, nowUs);
      // A model that others are always served before has no batch formed, which would do it.
      model.queue.age(nowUs);
      if (model.queue.size === 0) this.#models.waiting.delete(model);
      else this.#dispatching.dispatch(model, nowUs);
    }
  }

  /** What waits here is served by the next owner; what is out comes back to this one. */
  #drain(nowUs: number): void {
    this.#draining = true;
    this.#beatAtUs = nowUs;
    for (const model of this.#models.waiting) {
      for (const entry of model.queue.take(() => true)) {
        this.#effects.refuseQueued(entry, "DRAINING", "the scheduler is shutting down", nowUs);
      }
      this.#models.waiting.delete(model);
    }
  }
}
