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
import type { ModelLoad, Ticket, TicketFrame } from "@millrace/protocol";
import { isShortOfRoom } from "@millrace/residency";
import { unreachable } from "@millrace/std";
import type { Queued } from "@millrace/batching";
import { type Batch, Dispatching } from "./dispatching.ts";
import { Effects } from "./effects.ts";
import type { SchedulerEffect, SchedulerEvent } from "./events.ts";
import { type ModelState, Models } from "./models.ts";
import { SCHEDULER_DEFAULTS, type SchedulerOptions } from "./options.ts";
import { Residency } from "./residency.ts";
import { Workers } from "./workers.ts";

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

const DEVICES_SCANNED_MAX = 16;
/** Least time between a beat and one that is sent early because a model without a copy has work. */
const EARLY_BEAT_US = 10_000;

export class SchedulerCore {
  readonly #options: SchedulerOptions;
  readonly #effects = new Effects();
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #dispatching: Dispatching;
  readonly #workers: Workers;
  readonly #schedulers: Membership;
  readonly #residency: Residency;
  #draining = false;
  #beat = 0;
  #beatAtUs = 0;
  #beatenUs = 0;
  #sweepAtUs = Infinity;
  /** Since when no worker is there; undefined while one is. */
  #aloneSinceUs: number | undefined = 0;

  constructor(options: Pick<SchedulerOptions, "id" | "incarnation"> & Partial<SchedulerOptions>) {
    this.#options = { ...SCHEDULER_DEFAULTS, ...options };
    const { queueTicketsMax: ticketsMax, ageAfterUs } = this.#options;
    this.#models = new Models({ ticketsMax, ageAfterUs });
    this.#pool = new DevicePool(this.#options);
    this.#dispatching = new Dispatching(this.#options, this.#models, this.#pool, this.#effects);
    this.#workers = new Workers(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#dispatching,
    );
    this.#schedulers = new Membership(this.#options);
    this.#residency = new Residency(
      this.#options,
      this.#models,
      this.#pool,
      this.#effects,
      this.#workers,
      this.#dispatching,
      this.#schedulers,
    );
  }

  step(event: SchedulerEvent, nowUs: number): readonly SchedulerEffect[] {
    this.#handle(event, nowUs);
    if (nowUs >= this.#beatAtUs) this.#tick(nowUs);
    this.#dispatching.wake(nowUs);
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
        if (this.#workers.heard(event.heartbeat, nowUs)) this.#residency.request();
        if (this.#workers.membership.alive.length > 0) this.#aloneSinceUs = undefined;
        return;
      case "schedulerBeat": {
        const { id, incarnation, state } = event.heartbeat;
        if (id === this.#options.id) return;
        this.#schedulers.heard(id, incarnation, nowUs, state === "draining");
        return this.#residency.heard(event.heartbeat, nowUs);
      }
      case "disconnected":
        return this.#disconnected(event.name, nowUs);
      case "modelChanged":
        this.#models.changed(event.record);
        return this.#residency.request();
      case "modelRemoved":
        this.#models.removed(event.name);
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

  #arrived(frame: TicketFrame, nowUs: number): void {
    const model = this.#models.ensure(frame.model);
    if (model === undefined) {
      for (const ticket of frame.tickets) {
        this.#effects.refuse(frame.ingress, ticket, "MODEL_NOT_FOUND", "too many models", 0);
      }
      return;
    }
    const noDevice = this.#noDevice(model, nowUs);
    const freeInUs = this.#freeInUs(model, nowUs);
    let rows = 0;
    for (const ticket of frame.tickets) {
      rows += ticket.rows;
      if (this.#draining) {
        this.#effects.refuse(
          frame.ingress,
          ticket,
          "DRAINING",
          "the scheduler is shutting down",
          0,
        );
      } else if (noDevice !== undefined) {
        this.#effects.refuse(frame.ingress, ticket, noDevice.code, noDevice.message, 0);
      } else this.#admit(model, frame.ingress, ticket, freeInUs, nowUs);
    }
    model.arrivals.observe(rows, nowUs);
    if (model.queue.size === 0) return;
    this.#models.waiting.add(model);
    this.#dispatching.dispatch(model, nowUs);
    if (model.queue.size > 0 && this.#pool.holders(model.ref).size === 0) this.#wanting(model);
  }

  /** Queues the ticket, unless the queue is full or its deadline is out of reach already (I6). */
  #admit(
    model: ModelState,
    ingress: string,
    ticket: Ticket,
    freeInUs: number | undefined,
    nowUs: number,
  ): void {
    if (model.queue.full) {
      const message = `${model.queue.size} requests wait for ${model.ref}, the limit`;
      return this.#effects.refuse(ingress, ticket, "QUEUE_FULL", message, 0);
    }
    const deadlineUs = nowUs + ticket.remainingUs;
    const predictedUs = freeInUs === undefined ? 0 : this.#predictUs(model, ticket, freeInUs);
    if (nowUs + predictedUs + this.#options.marginUs > deadlineUs) {
      const message = `it would take about ${predictedUs} us, ${ticket.remainingUs} us are left`;
      return this.#effects.refuse(ingress, ticket, "DEADLINE_UNREACHABLE", message, 0);
    }
    let avoid: string | undefined;
    if (ticket.hedge) {
      avoid = this.#deviceOf(model, ingress, ticket.seq);
      if (this.#pool.holders(model.ref).size < 2) {
        const message = "no second device has the model";
        return this.#effects.refuse(ingress, ticket, "NO_DEVICE", message, 0);
      }
    }
    const { tier } = ticket;
    model.queue.push({ ticket, ingress, arrivedUs: nowUs, deadlineUs, avoid, tier });
  }

  /** When the first of the model's devices is free; undefined while none is ready. */
  #freeInUs(model: ModelState, nowUs: number): number | undefined {
    let scanned = 0;
    let soonestUs: number | undefined;
    for (const device of this.#pool.holders(model.ref)) {
      // Enough for an estimate: a large fleet is not walked for every frame.
      if (++scanned > DEVICES_SCANNED_MAX) break;
      if (!device.available) continue;
      soonestUs = Math.min(soonestUs ?? Infinity, Math.max(0, device.freeAtUs - nowUs));
      if (soonestUs === 0) break;
    }
    return soonestUs;
  }

  /** Wait and run of a ticket that arrives now. */
  #predictUs(model: ModelState, ticket: Ticket, freeInUs: number): number {
    const holders = this.#pool.holders(model.ref).size;
    const aheadUs = this.#dispatching.queueUs(model, ticket.tier, holders);
    return Math.ceil(freeInUs + aheadUs + model.fastestUs(ticket.rows));
  }

  #deviceOf(model: ModelState, ingress: string, seq: number): string | undefined {
    for (const device of this.#pool.holders(model.ref)) {
      for (const { batch } of device.outstanding.values()) {
        const works = (entry: Queued): boolean =>
          entry.ticket.seq === seq && entry.ingress === ingress;
        if (batch.model === model && batch.entries.some(works)) return device.id;
      }
    }
    return undefined;
  }

  /** Why nothing will ever serve the model, or undefined while something may. */
  #noDevice(
    model: ModelState,
    nowUs: number,
  ): { readonly code: "NO_DEVICE" | "LOAD_FAILED"; readonly message: string } | undefined {
    if (this.#aloneSinceUs !== undefined) {
      if (nowUs - this.#aloneSinceUs < this.#options.noDeviceGraceUs) return undefined;
      return { code: "NO_DEVICE", message: "no worker is alive" };
    }
    if (model.spec === undefined || this.#pool.holders(model.ref).size > 0) return undefined;
    let roomy = 0;
    let failed: string | undefined;
    for (const device of this.#pool.values()) {
      if (device.device.memoryTotalBytes < model.loadBytes) continue;
      // It may be back, or restarted, before the deadlines of those that wait.
      if (!device.available) return undefined;
      const resident = device.residents.find(({ ref }) => ref === model.ref);
      // Others can make room for it; what it takes is known by now.
      if (resident?.state !== "failed" || isShortOfRoom(resident)) return undefined;
      roomy++;
      failed = resident.error?.message;
    }
    if (roomy > 0) return { code: "LOAD_FAILED", message: failed ?? "loading failed" };
    if (this.#pool.size === 0) return undefined;
    return { code: "NO_DEVICE", message: `no device has ${model.loadBytes} bytes of memory` };
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
    if (this.#schedulers.lost(name)) this.#residency.forget(name);
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
    for (const id of this.#schedulers.expire(nowUs)) this.#residency.forget(id);
    if (this.#workers.expire(nowUs)) this.#residency.request();
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
        loads: this.#loads(nowUs),
      },
    });
  }

  #loads(nowUs: number): ModelLoad[] {
    const loads: ModelLoad[] = [];
    for (const model of this.#models.values()) {
      const rowsPerSecond = model.arrivals.rowsPerSecond(nowUs);
      if (model.queue.size === 0 && rowsPerSecond === 0) continue;
      const holders = this.#pool.holders(model.ref).size;
      loads.push({
        ref: model.ref,
        queuedRows: model.queue.rowsThrough(2),
        waitUs: holders === 0 ? 0 : this.#dispatching.queueUs(model, 1, holders),
        computeUs: Math.ceil(model.fastestUs(1)),
        rowsPerSecond,
      });
    }
    return loads;
  }

  /** Waiting tickets whose deadline cannot be met any more end now, not when they are late. */
  #sweep(nowUs: number): void {
    this.#sweepAtUs = nowUs + this.#options.sweepUs;
    // What waits may need a copy more.
    this.#residency.request(this.#options.heartbeatUs);
    for (const model of this.#models.waiting) {
      const noDevice = this.#noDevice(model, nowUs);
      const leastUs = model.fastestUs(1);
      const ended = model.queue.take(
        (entry) => noDevice !== undefined || entry.deadlineUs - leastUs <= nowUs,
      );
      for (const entry of ended) {
        const code = noDevice?.code ?? "DEADLINE_UNREACHABLE";
        const message = noDevice?.message ?? "it waited until its deadline was out of reach";
        this.#effects.refuseQueued(entry, code, message, nowUs);
      }
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
