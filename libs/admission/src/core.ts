/**
 * The ingress as one pure state machine: admits requests, sends each to the scheduler that owns its
 * model, and sees to it that each ends in exactly one answer (I1), at its deadline at the latest.
 *
 * - The first result wins, of whichever attempt; what comes later is dropped. An error closes its
 *   own attempt and is acted on when no other is open.
 * - Errors that another device may not repeat are retried inside the deadline, from a budget:
 *   retries and hedges are at most a tenth of the requests, so that they cannot become the load.
 * - A request with which a worker was lost runs by itself from then on, and after a second one it
 *   is not tried again, unless others ended as well: an input that kills workers costs two of them,
 *   and none of its mates.
 * - Tickets at a scheduler that was lost, or sent before the broker's connection broke, are sent
 *   again outside the budget: what they asked for is mostly not done, and at most once more.
 * - No scheduler, or no connection: a request waits for one until its deadline.
 */

import {
  ERRORS,
  type Fault,
  fault,
  isWorkerProcess,
  type SchedulerHeartbeat,
} from "@millrace/protocol";
import { type Random, unreachable } from "@millrace/std";
import { Clients } from "./clients.ts";
import { Devices } from "./devices.ts";
import type { IngressCounters, IngressEffect, IngressEvent, Request } from "./events.ts";
import { deadlineFault, faultOf } from "./faults.ts";
import { freshLoad, learn, Models } from "./models.ts";
import { INGRESS_DEFAULTS, type IngressOptions } from "./options.ts";
import { predictMiss } from "./prediction.ts";
import { isQuarantined, noteLost, quarantineFault, suspicionOf } from "./quarantine.ts";
import { retryDelayUs } from "./retry-delay.ts";
import { Schedulers } from "./schedulers.ts";
import { type Lane, type Loss, type Open, Table } from "./table.ts";
import { Tickets } from "./tickets.ts";
import { FromZero } from "./zero.ts";

const RETRY_AFTER_US = 1_000_000;
const NO_LANES: readonly Lane[] = [];
const NO_LOSSES: readonly Loss[] = [];

type Answered = Extract<IngressEvent, { readonly type: "answered" }>;

export class IngressCore {
  readonly #options: IngressOptions;
  readonly #random: Random;
  readonly #table = new Table();
  readonly #fromZero = new FromZero();
  readonly #models = new Models();
  readonly #clients: Clients;
  readonly #devices: Devices;
  readonly #schedulers: Schedulers;
  readonly #tickets: Tickets;
  readonly #counters = { retries: 0, hedges: 0, resends: 0, overBudget: 0, lateAnswers: 0 };
  #state: "serving" | "draining" | "drained" = "serving";
  #silentAtUs = Infinity;

  constructor(random: Random, nowUs: number, options: Partial<IngressOptions> = {}) {
    this.#options = { ...INGRESS_DEFAULTS, ...options };
    const { suspectAfterUs, forgetAfterUs } = this.#options;
    this.#random = random;
    this.#clients = new Clients(this.#options.clientLimits);
    this.#devices = new Devices(suspectAfterUs, forgetAfterUs);
    this.#schedulers = new Schedulers({ suspectAfterUs, forgetAfterUs });
    this.#tickets = new Tickets(
      this.#options,
      this.#table,
      this.#schedulers,
      this.#devices,
      this.#counters,
      nowUs,
    );
  }

  get open(): number {
    return this.#table.size;
  }

  get openBytes(): number {
    return this.#table.bytes;
  }

  get counters(): IngressCounters {
    return this.#counters;
  }

  /** Schedulers that take tickets. */
  get schedulers(): readonly string[] {
    return this.#schedulers.alive;
  }

  /** Live workers that hold the model version ready. */
  devices(ref: string, nowUs: number): number {
    return this.#devices.count(ref, nowUs);
  }

  get wakeAtUs(): number {
    return Math.min(this.#table.wakeAtUs, this.#silentAtUs);
  }

  step(event: IngressEvent, nowUs: number): IngressEffect[] {
    const effects: IngressEffect[] = [];
    // Before time passes: nothing may be decided of a request that its client has given up.
    if (event.type === "abandoned") this.#abandon(event.seq, effects);
    this.#passTime(nowUs, effects);
    switch (event.type) {
      case "requestArrived":
        this.#arrive(event.seq, event.request, nowUs, effects);
        break;
      case "answered":
        this.#answer(event, nowUs, effects);
        break;
      case "abandoned":
        break;
      case "schedulerBeat":
        this.#hearScheduler(event.heartbeat, nowUs, effects);
        break;
      case "workerBeat":
        this.#devices.heard(event.heartbeat, nowUs);
        break;
      case "disconnected":
        this.#devices.lost(event.name, nowUs);
        if (this.#schedulers.lost(event.name)) this.#loseScheduler(event.name, nowUs, effects);
        break;
      case "busChanged":
        if (event.connected) this.#reconnect(nowUs, effects);
        else this.#schedulers.disconnected();
        break;
      case "woke":
        break;
      case "drainBegan":
        if (this.#state === "serving") this.#state = "draining";
        break;
      default:
        unreachable(event);
    }
    this.#silentAtUs = this.#schedulers.silentAtUs;
    if (this.#state === "draining" && this.#table.size === 0) {
      this.#state = "drained";
      effects.push({ type: "exit" });
    }
    return effects;
  }

  #passTime(nowUs: number, effects: IngressEffect[]): void {
    // Deadlines first: no ticket is sent for a request that is past its own.
    for (let open = this.#table.due(nowUs); open !== undefined; open = this.#table.due(nowUs)) {
      if (nowUs >= open.request.deadlineUs) {
        this.#refuse(open, deadlineFault(open, this.#schedulers.connected), effects);
        continue;
      }
      if (nowUs >= open.retryAtUs) {
        if (isQuarantined(open, this.#options, this.#devices, nowUs)) {
          this.#refuse(open, quarantineFault(open), effects);
          continue;
        }
        this.#tickets.send(open, "retry", nowUs, effects);
      }
      if (nowUs >= open.hedgeAtUs) this.#tickets.hedge(open, nowUs, effects);
      this.#table.arm(open);
    }
    if (nowUs >= this.#silentAtUs) this.#loseSilent(nowUs, effects);
  }

  // --- admission -------------------------------------------------------------------------------

  #arrive(seq: number, request: Request, nowUs: number, effects: IngressEffect[]): void {
    const refusal =
      this.#refusal(request, nowUs) ?? this.#clients.enter(request.client, request.limits, nowUs);
    if (refusal !== undefined) {
      effects.push({ type: "settle", seq, outcome: { ok: false, fault: refusal, attempts: 0 } });
      return;
    }
    this.#tickets.earn();
    const open: Open = {
      seq,
      request,
      model: this.#models.get(request.model),
      arrivedUs: nowUs,
      attempt: 0,
      tries: 0,
      lanes: NO_LANES,
      lost: NO_LOSSES,
      retryAtUs: Infinity,
      hedgeAtUs: Infinity,
      hedged: false,
      timerUs: Infinity,
      settled: false,
    };
    this.#tickets.send(open, "first", nowUs, effects);
    this.#table.add(open);
    if (!this.#devices.has(open.model.ref, nowUs)) this.#fromZero.called(open);
  }

  /** I6: why the request is not taken, when that is already known. */
  #refusal(request: Request, nowUs: number): Fault | undefined {
    const { openMax, openBytesMax, suspectAfterUs } = this.#options;
    if (this.#state !== "serving") return fault("DRAINING", "this ingress is shutting down");
    if (nowUs >= request.deadlineUs) {
      return fault("DEADLINE_EXCEEDED", "the deadline passed before the request was read");
    }
    if (this.#table.size >= openMax || this.#table.bytes + request.bodyBytes > openBytesMax) {
      const message = `${this.#table.size} requests of ${this.#table.bytes} bytes are open`;
      return { code: "OVERLOADED", message, retryAfterUs: RETRY_AFTER_US };
    }
    const model = this.#models.get(request.model);
    const load = freshLoad(model, this.#schedulers.owner(model.name), nowUs, suspectAfterUs);
    return load === undefined ? undefined : predictMiss(request, load, nowUs);
  }

  // --- answers ---------------------------------------------------------------------------------

  #answer(event: Answered, nowUs: number, effects: IngressEffect[]): void {
    const { answer, from, device } = event;
    const open = this.#table.get(answer.seq);
    const lane = open?.lanes.find(({ attempt }) => attempt === answer.attempt);
    if (open === undefined || answer.attempt < 1 || answer.attempt > open.attempt) {
      this.#counters.lateAnswers++;
      return;
    }
    if (answer.error === "WORKER_LOST") {
      const worker = isWorkerProcess(device) ? device : this.#devices.process(from);
      noteLost(open, { attempt: answer.attempt, worker, atUs: nowUs });
      this.#devices.endings.note(worker, nowUs);
    }
    if (answer.error === undefined) {
      if (lane !== undefined) learn(open.model, nowUs - lane.sentUs);
      open.lanes = open.lanes.filter((other) => other !== lane);
      this.#fromZero.answered(open, nowUs, effects);
      this.#close(open, effects);
      const totalUs = nowUs - open.arrivedUs;
      const served = { answer, from, device, attempts: open.tries, totalUs };
      effects.push({ type: "settle", seq: open.seq, outcome: { ok: true, served } });
    } else if (lane === undefined) {
      this.#counters.lateAnswers++;
    } else {
      open.lanes = open.lanes.filter((other) => other !== lane);
      if (answer.error === "DRAINING") this.#schedulers.drains(from, nowUs);
      const reason = faultOf(answer.error, answer);
      if (open.lanes.length === 0) this.#fail(open, lane, reason, from, nowUs, effects);
    }
  }

  /** The last open attempt failed: another try, or the end. */
  #fail(
    open: Open,
    lane: Lane,
    reason: Fault,
    from: string,
    nowUs: number,
    effects: IngressEffect[],
  ): void {
    const { code } = reason;
    const { retry } = ERRORS[code];
    const suspicion = suspicionOf(open, this.#options);
    if (suspicion === "guilty") return this.#refuse(open, quarantineFault(open), effects);
    // That there is no place for a hedge says nothing of the request, whose other attempt is gone.
    const retryable = retry === "elsewhere" || (lane.hedge && retry === "later");
    const failed = {
      code,
      isOwner: lane.scheduler === this.#schedulers.owner(open.model.name),
      bySchedulerItself: from === lane.scheduler,
      tries: open.tries,
      leftUs: open.request.deadlineUs - nowUs,
    };
    const delayUs = retryable ? retryDelayUs(failed, this.#options, this.#random) : 0;
    const verdictUs = suspicion === "suspected" ? this.#options.verdictAfterUs : 0;
    const atUs = nowUs + Math.max(delayUs, verdictUs);
    if (
      retryable &&
      open.tries < this.#options.attemptsMax &&
      atUs < open.request.deadlineUs &&
      this.#tickets.spend(nowUs)
    ) {
      this.#counters.retries++;
      open.retryAtUs = atUs;
      if (atUs === nowUs) this.#tickets.send(open, "retry", nowUs, effects);
      this.#table.arm(open);
      return;
    }
    this.#refuse(open, reason, effects);
  }

  #abandon(seq: number, effects: IngressEffect[]): void {
    const open = this.#table.get(seq);
    if (open !== undefined) this.#close(open, effects);
  }

  // --- members ---------------------------------------------------------------------------------

  #hearScheduler(heartbeat: SchedulerHeartbeat, nowUs: number, effects: IngressEffect[]): void {
    const { lost, changed } = this.#schedulers.heard(heartbeat, nowUs);
    this.#models.heard(heartbeat, nowUs);
    if (lost) this.#loseLanes(heartbeat.id);
    if (changed) this.#tickets.sendWaiting(nowUs, effects);
    this.#loseSilent(nowUs, effects);
  }

  #loseSilent(nowUs: number, effects: IngressEffect[]): void {
    for (const id of this.#schedulers.expire(nowUs)) this.#loseScheduler(id, nowUs, effects);
  }

  #loseScheduler(id: string, nowUs: number, effects: IngressEffect[]): void {
    this.#loseLanes(id);
    this.#tickets.sendWaiting(nowUs, effects);
  }

  #loseLanes(id: string): void {
    for (const open of this.#table.values()) {
      if (open.lanes.some((lane) => lane.scheduler === id)) {
        open.lanes = open.lanes.filter((lane) => lane.scheduler !== id);
      }
    }
  }

  /** Answers to what was sent before may be lost, so every open request is sent again. */
  #reconnect(nowUs: number, effects: IngressEffect[]): void {
    this.#schedulers.reconnected(nowUs);
    for (const open of this.#table.values()) open.lanes = NO_LANES;
    this.#tickets.sendWaiting(nowUs, effects);
  }

  // --- ends ------------------------------------------------------------------------------------

  #refuse(open: Open, reason: Fault, effects: IngressEffect[]): void {
    this.#close(open, effects);
    const again = ERRORS[reason.code].retry === "never" ? {} : { retryAfterUs: RETRY_AFTER_US };
    const outcome = { ok: false, fault: { ...again, ...reason }, attempts: open.tries } as const;
    effects.push({ type: "settle", seq: open.seq, outcome });
  }

  /** Takes the request off the table, and what is left of it out of the queues. */
  #close(open: Open, effects: IngressEffect[]): void {
    this.#table.remove(open);
    this.#fromZero.closed(open);
    this.#clients.leave(open.request.client);
    for (const { scheduler } of open.lanes) {
      effects.push({ type: "cancel", scheduler, model: open.model.ref, seq: open.seq });
    }
  }
}
