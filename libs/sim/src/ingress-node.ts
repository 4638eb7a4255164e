/** A simulated ingress: the real core, the clients' requests, and the bodies that stay with it. */

import {
  INGRESS_DEFAULTS,
  IngressCore,
  type IngressEffect,
  type IngressEvent,
  type Request,
} from "@millrace/admission";
import type { Outcome } from "@millrace/invariants";
import {
  type Answer,
  type CancelFrame,
  encodeCancel,
  encodePart,
  encodeTickets,
  type ErrorCode,
  FRAME_ITEMS_MAX,
  modelRef,
  type Ticket,
  type Tier,
} from "@millrace/protocol";
import { unreachable } from "@millrace/std";
import { bodyOfRequest, readOutput, requestName, tailOf } from "./bodies.ts";
import { Host } from "./host.ts";
import type { Channel, Letter, Member } from "./network.ts";
import { zoneOf } from "./places.ts";
import {
  encodeJson,
  readAnswers,
  readDisconnect,
  readFetch,
  readSchedulerBeat,
  readWorkerBeat,
} from "./reading.ts";
import { losesWorkersByInputOnly, losesWorkersTogetherOnly } from "./scenario.ts";
import type { Node, World } from "./world.ts";

const VERDICTS: readonly ErrorCode[] = ["INPUT_REJECTED", "EXECUTION_FAILED"];

/** What a client asks for. */
export interface ClientRequest {
  readonly id: number;
  /** A model's name; the version that answers is looked up on arrival. */
  readonly model: string;
  readonly tier: Tier;
  readonly rows: number;
  readonly length: number;
  readonly remote: boolean;
  readonly timeoutUs: number;
  /** The client goes away after so long; undefined for one that waits. */
  readonly patienceUs: number | undefined;
  readonly owed: boolean;
  /** For whoever asks in the same process. */
  readonly settled?: (outcome: Outcome) => void;
}

interface Held {
  readonly asked: ClientRequest;
  readonly body: Uint8Array;
  /** Its client went away; an answer that is already on its way to it reaches nobody. */
  abandoned: boolean;
}

interface Outgoing {
  readonly scheduler: string;
  readonly model: string;
  readonly tickets: Ticket[];
}

interface Life {
  readonly host: Host<IngressEvent, IngressEffect>;
  readonly core: IngressCore;
  /** Whoever spreads the clients' requests gives it no more. */
  draining: boolean;
  readonly beganUs: number;
  admitted: number;
}

const BEAT_US = 1_000_000;
const HEARS: ReadonlySet<Channel> = new Set(["schedulerBeat", "workerBeat", "disconnect"]);

export class IngressNode implements Node, Member {
  readonly id: string;
  readonly hears = HEARS;
  readonly #world: World;
  readonly #held = new Map<number, Held>();
  readonly #outbox = new Map<string, Outgoing>();
  #life: Life | undefined;
  #seq = 0;

  constructor(world: World, id: string) {
    this.#world = world;
    this.id = id;
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  /** Differs from one process to the next; undefined while there is none. */
  get life(): unknown {
    return this.#life;
  }

  get open(): number {
    return this.#life?.core.open ?? 0;
  }

  start(): void {
    const { random, timeline, scenario, network } = this.#world;
    // Answers to what an earlier process sent still come, and must not meet another request.
    this.#seq = this.#world.without("ownSequence") ? 0 : random.below(2 ** 31);
    const clockUs = 1 + random.below(scenario.clockSkewUs);
    const core = new IngressCore(random.fork(), clockUs, {
      openMax: this.#world.without("queueLimit") ? Infinity : scenario.openMax,
      retryBurst: this.#world.without("budget") ? Infinity : scenario.retryBurst,
      ...(this.#world.without("retry") ? { attemptsMax: 1 } : {}),
      ...(this.#world.without("quarantine") ? { workersLostMax: Infinity } : {}),
      ...(this.#world.without("commonCause") ? { commonCauseUs: 0 } : {}),
      ...(this.#world.without("hedge") ? { hedgeSamplesMin: Infinity } : {}),
      ...(this.#world.without("suspicion") ? { suspectAfterUs: 60_000_000 } : {}),
    });
    const perform = (effect: IngressEffect): void => this.#perform(effect);
    const host = new Host({ timeline, core, perform, clockUs });
    this.#life = { core, host, draining: false, beganUs: timeline.nowUs, admitted: 0 };
    network.join(this);
    if (scenario.zoned) this.#announce(this.#life, zoneOf(scenario.seed, this.id));
  }

  /** Says where it stands, as long as this process lives. */
  #announce(life: Life, zone: string): void {
    if (this.#life !== life) return;
    const { network, timeline } = this.#world;
    life.host.do(() => {
      const bytes = encodeJson({ v: 1, id: this.id, zone });
      network.publish({ from: this.id, channel: "ingressBeat", bytes });
    });
    timeline.after(BEAT_US, () => this.#announce(life, zone));
  }

  crash(noticed: boolean): void {
    this.#end(noticed, false);
  }

  #end(noticed: boolean, asked: boolean): void {
    this.#life?.host.stop();
    this.#life = undefined;
    this.#held.clear();
    this.#outbox.clear();
    this.#world.network.leave(this.id, noticed);
    this.#world.observe({ type: "processEnded", process: this.id, asked });
    this.#world.ended(this);
  }

  pause(): void {
    this.#life?.host.pause();
  }

  resume(): void {
    if (this.#life?.host.paused !== true) return;
    this.#world.observe({ type: "processResumed", process: this.id });
    this.#life.host.resume();
  }

  get takesRequests(): boolean {
    return this.#life?.draining === false;
  }

  drain(): void {
    if (this.#life === undefined) return;
    const { host } = this.#life;
    this.#life.draining = true;
    if (this.#world.without("drain")) return this.#end(true, true);
    // Behind the requests that it has not read yet.
    host.do(() => host.post({ type: "drainBegan" }));
  }

  /** A client's request reaches the ingress; a process that stands still reads it later. */
  ask(asked: ClientRequest): void {
    const life = this.#life;
    life?.host.do(() => this.#admit(life, asked));
  }

  connectionChanged(connected: boolean): void {
    this.#life?.host.post({ type: "busChanged", connected });
  }

  receive({ channel, bytes }: Letter): void {
    const host = this.#life?.host;
    if (host === undefined) return;
    switch (channel) {
      case "answer": {
        const { from, device, answers } = readAnswers(bytes);
        for (const answer of answers) host.post({ type: "answered", from, device, answer });
        if (this.#world.without("oneSettle")) this.#settleAgain(answers, from, device);
        return;
      }
      case "schedulerBeat":
        return host.post({ type: "schedulerBeat", heartbeat: readSchedulerBeat(bytes) });
      case "workerBeat":
        return host.post({ type: "workerBeat", heartbeat: readWorkerBeat(bytes) });
      case "disconnect":
        return host.post({ type: "disconnected", name: readDisconnect(bytes) });
      case "fetch":
        return host.do(() => this.#giveBodies(bytes));
      case "ticket":
      case "done":
      case "assign":
      case "command":
      case "tensor":
      case "ingressBeat":
        return;
      default:
        return unreachable(channel);
    }
  }

  #admit(life: Life, asked: ClientRequest): void {
    const { host } = life;
    const { timeline } = this.#world;
    const { id, tier, rows, length, timeoutUs, owed, patienceUs } = asked;
    const record = this.#world.registry.record(asked.model);
    const seq = this.#seq++;
    const body = bodyOfRequest(id);
    this.#held.set(seq, { asked, body, abandoned: false });
    const request: Request = {
      client: "anonymous",
      model: modelRef(record.name, record.active),
      tier,
      rows,
      length,
      shapeKey: 1,
      bodyBytes: body.length,
      deadlineUs: host.nowUs + timeoutUs,
    };
    const name = requestName(id);
    const deadlineUs = timeline.nowUs + timeoutUs;
    this.#world.trace(this.id, "request", { name, model: request.model, tier, timeoutUs });
    const { id: ingress } = this;
    const foreign = this.#foreign(id);
    const { model } = request;
    const admitted = { request: name, ingress, deadlineUs, owed, model, foreign };
    this.#world.observe({ type: "requestAdmitted", ...admitted });
    life.admitted++;
    host.post({ type: "requestArrived", seq, request });
    const { openMax: max } = this.#world.scenario;
    const what = "open requests";
    this.#world.observe({ type: "levelRead", process: this.id, what, value: this.open, max });
    this.#watchRetries(life);
    if (patienceUs === undefined) return;
    timeline.after(patienceUs, () => host.do(() => this.#abandon(host, seq, id)));
  }

  /** Codes that a request whose input is good is never told. */
  #foreign(id: number): readonly ErrorCode[] {
    const { poisoned, killers, scenario } = this.#world;
    if (poisoned.has(id) || killers.has(id)) return [];
    // A scheduler cannot tell that its batch only waited behind another scheduler's.
    const isOnlyOne = scenario.schedulers.length === 1;
    const isKnown =
      (isOnlyOne && losesWorkersByInputOnly(scenario)) || losesWorkersTogetherOnly(scenario);
    return isKnown ? [...VERDICTS, "INPUT_QUARANTINED"] : VERDICTS;
  }

  /** Retries and hedges cannot become the load. */
  #watchRetries({ core, beganUs, admitted }: Life): void {
    const { retries, hedges } = core.counters;
    const { retryShare, retryPerSecond } = INGRESS_DEFAULTS;
    const seconds = (this.#world.timeline.nowUs - beganUs) / 1e6;
    const earned = retryShare * admitted + retryPerSecond * (1 + seconds);
    const max = Math.ceil(this.#world.scenario.retryBurst + earned);
    const what = "retries and hedges";
    this.#world.observe({
      type: "levelRead",
      process: this.id,
      what,
      value: retries + hedges,
      max,
    });
  }

  #abandon(host: Life["host"], seq: number, id: number): void {
    const held = this.#held.get(seq);
    if (held === undefined || held.asked.id !== id) return;
    held.abandoned = true;
    this.#world.observe({ type: "requestAbandoned", request: requestName(id) });
    host.post({ type: "abandoned", seq });
    host.do(() => this.#held.delete(seq));
  }

  #perform(effect: IngressEffect): void {
    switch (effect.type) {
      case "send":
        return this.#send(effect);
      case "cancel": {
        const { scheduler, model, seq } = effect;
        const frame: CancelFrame = { ingress: this.id, model, seqs: [seq] };
        const bytes = encodeCancel(frame);
        this.#world.network.send(scheduler, { from: this.id, channel: "ticket", bytes });
        return;
      }
      case "settle":
        return this.#settle(effect);
      case "cameFromZero":
        return this.#world.trace(this.id, "cameFromZero", effect);
      case "exit":
        this.#world.trace(this.id, "exit", {});
        return this.#end(true, true);
      default:
        return unreachable(effect);
    }
  }

  #settle({ seq, outcome }: Extract<IngressEffect, { readonly type: "settle" }>): void {
    const held = this.#held.get(seq);
    const name = requestName(held?.asked.id);
    if (!this.#world.without("oneSettle")) this.#held.delete(seq);
    if (held?.abandoned === true) return;
    if (outcome.ok) {
      const { content, servedBy } = readOutput(outcome.served.answer.body);
      this.#world.trace(this.id, "answer", { name, content });
      const told = { ok: true, content, servedBy } as const;
      this.#world.observe({ type: "requestSettled", request: name, outcome: told });
      held?.asked.settled?.(told);
    } else {
      const { code, message } = outcome.fault;
      this.#world.trace(this.id, "refusal", { name, code, message });
      const told = { ok: false, code } as const;
      this.#world.observe({ type: "requestSettled", request: name, outcome: told });
      held?.asked.settled?.(told);
    }
  }

  /** What an ingress does that has forgotten whom it answered. */
  #settleAgain(answers: readonly Answer[], from: string, device: string): void {
    for (const answer of answers) {
      if (!this.#held.has(answer.seq) || answer.error !== undefined) continue;
      const served = { answer, from, device, attempts: 1, totalUs: 0 };
      this.#settle({ type: "settle", seq: answer.seq, outcome: { ok: true, served } });
    }
  }

  /** Tickets of one turn for one model share a frame. */
  #send(effect: Extract<IngressEffect, { readonly type: "send" }>): void {
    const held = this.#held.get(effect.seq);
    if (held === undefined) return;
    const { scheduler, request, seq, attempt, hedge, remainingUs } = effect;
    const alone = effect.alone && !this.#world.without("isolation");
    const { remote } = held.asked;
    const { tier, rows, length, shapeKey, bodyBytes, model } = request;
    const tail = tailOf(held.body, remote);
    const base = { seq, attempt, tier, hedge, alone, remote, rows, length, shapeKey };
    const ticket: Ticket = { ...base, remainingUs, bodyBytes, tail };
    const key = `${scheduler} ${model}`;
    const outgoing = this.#outbox.get(key);
    if (outgoing !== undefined && outgoing.tickets.length < FRAME_ITEMS_MAX) {
      outgoing.tickets.push(ticket);
      return;
    }
    if (outgoing !== undefined) this.#flush(key);
    if (this.#outbox.size === 0) this.#world.timeline.after(0, () => this.#flushAll());
    this.#outbox.set(key, { scheduler, model, tickets: [ticket] });
  }

  #flushAll(): void {
    for (const key of this.#outbox.keys()) this.#flush(key);
  }

  #flush(key: string): void {
    const outgoing = this.#outbox.get(key);
    if (outgoing === undefined) return;
    this.#outbox.delete(key);
    const { scheduler, model, tickets } = outgoing;
    const bytes = encodeTickets({ ingress: this.id, model, tickets });
    this.#world.network.send(scheduler, { from: this.id, channel: "ticket", bytes });
  }

  #giveBodies(bytes: Uint8Array): void {
    const { worker, wants } = readFetch(bytes);
    for (const { seq, attempt } of wants) {
      const body = this.#held.get(seq)?.body ?? new Uint8Array(0);
      const part = { from: this.id, seq, attempt, offset: 0, total: body.length, bytes: body };
      this.#world.network.send(worker, {
        from: this.id,
        channel: "tensor",
        bytes: encodePart(part),
      });
    }
  }
}
