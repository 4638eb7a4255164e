/**
 * Decides which tickets are queued, and refuses those that nothing can serve: at once where that
 * is known when they arrive, and otherwise as soon as it is. Every queue is bounded (I6).
 */

import type { Queued } from "@millrace/batching";
import type { DevicePool } from "@millrace/placement";
import { type Fault, fault, type Ticket, type TicketFrame, type Tier } from "@millrace/protocol";
import { isShortOfRoom } from "@millrace/residency";
import { Heap } from "@millrace/std";
import type { Batch } from "./dispatching.ts";
import type { Effects } from "./effects.ts";
import type { Loads } from "./loads.ts";
import type { ModelState, Models } from "./models.ts";
import type { SchedulerOptions } from "./options.ts";
import type { Waits } from "./waits.ts";

/** What the scheduler as a whole is up to. */
export interface Phase {
  readonly draining: boolean;
  /** Since when no worker is there; undefined while one is. */
  readonly aloneSinceUs: number | undefined;
}

interface Look {
  readonly atUs: number;
  readonly model: ModelState;
}

/** What others put ahead of tickets of a tier with about the same deadline. */
interface Ahead {
  readonly tier: Tier;
  readonly deadlineUs: number;
  readonly us: number | undefined;
}

/** Deadlines so close together are predicted together. */
const SAME_DEADLINE_US = 5_000;
const BATCH: Tier = 2;
const DRAINING = fault("DRAINING", "the scheduler is shutting down");
const TOO_MANY_MODELS = fault("OVERLOADED", "as many versions are asked for as a scheduler keeps");
const OUT_OF_REACH = fault("DEADLINE_UNREACHABLE", "it waited until its deadline was out of reach");
const NO_WORKER_CAME = fault("DEADLINE_UNREACHABLE", "no worker came before its deadline");

export class Admitting {
  readonly #options: SchedulerOptions;
  readonly #models: Models;
  readonly #pool: DevicePool<Batch>;
  readonly #effects: Effects;
  readonly #waits: Waits;
  readonly #loads: Loads;
  readonly #looks = new Heap<Look>((a, b) => a.atUs < b.atUs);

  constructor(
    options: SchedulerOptions,
    models: Models,
    pool: DevicePool<Batch>,
    effects: Effects,
    waits: Waits,
    loads: Loads,
  ) {
    this.#options = options;
    this.#models = models;
    this.#pool = pool;
    this.#effects = effects;
    this.#waits = waits;
    this.#loads = loads;
  }

  /** When the first ticket that waits may be out of reach. */
  get wakeAtUs(): number {
    return this.#looks.peek()?.atUs ?? Infinity;
  }

  /** @returns the model whose queue may have grown; undefined where everything was refused. */
  arrived(frame: TicketFrame, phase: Phase, nowUs: number): ModelState | undefined {
    const model = this.#modelFor(frame.model, phase, nowUs);
    if ("code" in model) {
      const { code, message } = model;
      for (const ticket of frame.tickets) {
        this.#effects.refuse(frame.ingress, ticket, code, message, 0);
      }
      return undefined;
    }
    this.#replaceResent(model, frame);
    let rows = 0;
    let batchRows = 0;
    let ahead: Ahead | undefined;
    for (const ticket of frame.tickets) {
      rows += ticket.rows;
      if (ticket.tier === BATCH) batchRows += ticket.rows;
      ahead = this.#ahead(model, ticket, ahead, nowUs);
      this.#admit(model, frame.ingress, ticket, ahead.us, nowUs);
    }
    model.arrivals.observe(rows, nowUs, batchRows);
    model.lastUsedUs = nowUs;
    this.#lookLater(model, nowUs);
    return model;
  }

  /** Refuses what waits for versions that are gone. */
  refuseRemoved(models: readonly ModelState[], nowUs: number): void {
    for (const model of models) {
      this.#refuseAll(model, this.#removal(model.ref) ?? TOO_MANY_MODELS, nowUs);
      this.#models.waiting.delete(model);
    }
  }

  /** Refuses what waits for a model that no device can have any more. */
  refuseUnservable(model: ModelState, aloneSinceUs: number | undefined, nowUs: number): void {
    const reason = this.#noDevice(model, aloneSinceUs, nowUs);
    if (reason !== undefined) this.#refuseAll(model, reason, nowUs);
  }

  /** Waiting tickets whose deadline cannot be met any more end now, not when they are late. */
  refuseDue(isAlone: boolean, nowUs: number): void {
    while (this.wakeAtUs <= nowUs) {
      const { model, atUs } = this.#looks.pop() as Look;
      if (atUs !== model.lookAtUs) continue;
      model.lookAtUs = Infinity;
      const { code, message } = isAlone ? NO_WORKER_CAME : OUT_OF_REACH;
      // I6: without a device no batch is formed, which would do it.
      model.queue.age(nowUs);
      for (const entry of model.queue.takeDue(nowUs + this.#leastUs(model))) {
        this.#noteMissed(model, entry.ticket, nowUs);
        this.#effects.refuseQueued(entry, code, message, nowUs);
        model.noteDropped(entry, nowUs);
      }
      if (model.queue.size === 0) this.#models.waiting.delete(model);
      else this.#lookLater(model, nowUs);
    }
  }

  #refuseAll(model: ModelState, { code, message }: Fault, nowUs: number): void {
    for (const entry of model.queue.take(() => true)) {
      this.#effects.refuseQueued(entry, code, message, nowUs);
    }
  }

  /** What a ticket needs at least, from the queue to its answer. */
  #leastUs(model: ModelState): number {
    return Math.ceil(model.fastestUs(1)) + this.#options.marginUs;
  }

  #lookLater(model: ModelState, nowUs: number): void {
    const dueUs = model.queue.earliestDeadlineUs - this.#leastUs(model);
    if (dueUs >= model.lookAtUs) return;
    model.lookAtUs = Math.max(dueUs, nowUs + 1);
    this.#looks.push({ atUs: model.lookAtUs, model });
  }

  /** A request has one ticket in the queue: the newest, and beside it the hedge (I1). */
  #replaceResent(model: ModelState, { ingress, tickets }: TicketFrame): void {
    if (model.queue.size === 0) return;
    const resent = new Map<number, number>();
    for (const { seq, attempt, hedge } of tickets) {
      if (attempt > 1 && !hedge) resent.set(seq, attempt);
    }
    if (resent.size === 0) return;
    model.queue.take((entry) => {
      const attempt = entry.ingress === ingress ? resent.get(entry.ticket.seq) : undefined;
      return attempt !== undefined && entry.ticket.attempt <= attempt;
    });
  }

  /** Queues the ticket, unless the queue is full or its deadline is out of reach already (I6). */
  #admit(
    model: ModelState,
    ingress: string,
    ticket: Ticket,
    othersUs: number | undefined,
    nowUs: number,
  ): void {
    if (model.queue.full) {
      const message = `${model.queue.size} requests wait for ${model.ref}, the limit`;
      return this.#effects.refuse(ingress, ticket, "QUEUE_FULL", message, 0);
    }
    const deadlineUs = nowUs + ticket.remainingUs;
    const takesUs = othersUs === undefined ? 0 : this.#takesUs(model, ticket, othersUs, nowUs);
    const { marginUs, reserve } = this.#options;
    const carefulUs = this.#calibrated(model, ticket, takesUs, nowUs) * (1 + reserve);
    if (nowUs + carefulUs + marginUs > deadlineUs) {
      this.#noteMissed(model, ticket, nowUs);
      const message = `it would take about ${takesUs} us, ${ticket.remainingUs} us are left`;
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
    const predictedUs = takesUs;
    model.queue.push({ ticket, ingress, arrivedUs: nowUs, deadlineUs, predictedUs, avoid, tier });
  }

  /** What is ahead of the ticket but for its own model's queue; tickets of a frame are alike. */
  #ahead(model: ModelState, ticket: Ticket, before: Ahead | undefined, nowUs: number): Ahead {
    const { tier } = ticket;
    const deadlineUs = nowUs + ticket.remainingUs;
    const apartUs = Math.abs((before?.deadlineUs ?? Infinity) - deadlineUs);
    if (before?.tier === tier && apartUs <= SAME_DEADLINE_US) return before;
    const isAway = this.#pool.holders(model.ref).size === 0;
    const us = isAway
      ? this.#loads.leftUs(model, nowUs)
      : this.#waits.othersUs(model, tier, deadlineUs, nowUs);
    return { tier, deadlineUs, us };
  }

  /** A load is made for those who ask again, though it came too late for the first. */
  #noteMissed(model: ModelState, { tier }: Ticket, nowUs: number): void {
    if (this.#pool.holders(model.ref).size > 0) return;
    model.missedUntilUs = nowUs + this.#options.missedForUs;
    if (tier !== BATCH) model.urgentMissedUntilUs = model.missedUntilUs;
  }

  /** Wait and run of a ticket that arrives now. */
  #takesUs(model: ModelState, ticket: Ticket, othersUs: number, nowUs: number): number {
    // On how many devices the queue will be served that waits for a copy is not known.
    const isAway = this.#pool.holders(model.ref).size === 0;
    const rows = isAway ? 0 : model.queue.rowsAhead(ticket.tier, nowUs + ticket.remainingUs);
    const ahead = rows / this.#waits.devices(model, nowUs);
    return Math.ceil(othersUs + model.batchEndsUs(ahead, ticket.rows));
  }

  /**
   * The same by what became of those before it. What it takes without any wait is left as it is:
   * else nothing might be admitted from which to learn better.
   */
  #calibrated(model: ModelState, { rows, tier }: Ticket, takesUs: number, nowUs: number): number {
    const factor = model.calibrations[tier].factor(nowUs);
    // Mostly: every ticket comes by here.
    if (factor === 1) return takesUs;
    return takesUs + Math.max(0, takesUs - model.fastestUs(rows)) * (factor - 1);
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

  /** The model, or why no ticket of it is taken, whatever it asks. */
  #modelFor(ref: string, phase: Phase, nowUs: number): ModelState | Fault {
    if (phase.draining) return DRAINING;
    const removal = this.#removal(ref);
    if (removal !== undefined) return removal;
    const model = this.#models.ensure(ref);
    if (model === undefined) return TOO_MANY_MODELS;
    return this.#noDevice(model, phase.aloneSinceUs, nowUs) ?? model;
  }

  #removal(ref: string): Fault | undefined {
    const code = this.#models.removal(ref);
    return code && fault(code, `${ref} was removed from the registry`);
  }

  /** Why nothing will ever serve the model, or undefined while something may. */
  #noDevice(model: ModelState, aloneSinceUs: number | undefined, nowUs: number): Fault | undefined {
    if (aloneSinceUs !== undefined) {
      if (nowUs - aloneSinceUs < this.#options.noDeviceGraceUs) return undefined;
      return fault("NO_DEVICE", "no worker is alive");
    }
    if (model.spec === undefined || this.#pool.holders(model.ref).size > 0) return undefined;
    let roomy = 0;
    let failed: string | undefined;
    for (const device of this.#pool.values()) {
      const resident = device.residents.get(model.ref);
      const isShort = resident !== undefined && isShortOfRoom(resident);
      const needBytes = Math.max(model.loadBytes, isShort ? resident.bytes : 0);
      if (device.device.memoryTotalBytes < needBytes) continue;
      // It may be back, or restarted, before the deadlines of those that wait.
      if (!device.available) return undefined;
      // Others can make room for it; what it takes is known by now.
      if (resident?.state !== "failed" || isShort || model.isOtherThan(resident)) return undefined;
      roomy++;
      failed = resident.error?.message;
    }
    if (roomy > 0) return fault("LOAD_FAILED", failed ?? "loading failed");
    if (this.#pool.size === 0) return undefined;
    return fault("NO_DEVICE", `no device has ${model.loadBytes} bytes of memory`);
  }
}
