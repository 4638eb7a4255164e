/** A simulated scheduler: the real core, what it hears, and what it sends. */

import type { Fact } from "@millrace/invariants";
import {
  type AnswerFrame,
  encodeAnswers,
  encodeAssignment,
  encodeJson,
  frameKind,
  type SchedulerHeartbeat,
  type TicketFrame,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import {
  SCHEDULER_DEFAULTS,
  SchedulerCore,
  type SchedulerEffect,
  type SchedulerEvent,
} from "@millrace/scheduling";
import { unreachable } from "@millrace/std";
import { Host } from "./host.ts";
import type { Channel, Letter, Member } from "./network.ts";
import {
  readCancel,
  readDisconnect,
  readDone,
  readIngressBeat,
  readSchedulerBeat,
  readTickets,
  readWorkerBeat,
} from "./reading.ts";
import { ROWS_MAX, within } from "./scenario.ts";
import { cancelledWork, givenWork, queuedWork, refusedWork } from "./work.ts";
import type { Node, World } from "./world.ts";

interface Life {
  readonly core: SchedulerCore;
  readonly host: Host<SchedulerEvent, SchedulerEffect>;
}

const HEARS: ReadonlySet<Channel> = new Set([
  "schedulerBeat",
  "workerBeat",
  "ingressBeat",
  "disconnect",
]);
const REGISTRY_US_MIN = 2_000;
const REGISTRY_US_MAX = 50_000;
const LATE_US = 1_000_000;
const encoder = new TextEncoder();

export class SchedulerNode implements Node, Member {
  readonly id: string;
  readonly hears = HEARS;
  readonly #world: World;
  #life: Life | undefined;

  constructor(world: World, id: string) {
    this.#world = world;
    this.id = id;
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get queuedTickets(): number {
    return this.#life?.core.figures.queuedTickets ?? 0;
  }

  start(): void {
    const { random, timeline, network, scenario } = this.#world;
    const without = (defence: Parameters<World["without"]>[0]) => this.#world.without(defence);
    const core = new SchedulerCore({
      id: this.id,
      incarnation: 1 + random.below(2 ** 31),
      queueTicketsMax: without("queueLimit") ? Infinity : scenario.queueTicketsMax,
      residency: { ...SCHEDULER_DEFAULTS.residency, parkAfterUs: scenario.parkAfterUs },
      ...(scenario.waitsForWorkers ? { noDeviceGraceUs: Infinity } : {}),
      ...(without("reconciliation") ? { lostAfterUs: Infinity } : {}),
      ...(without("slices") ? { sliceUsMax: [Infinity, Infinity, Infinity] } : {}),
      ...(without("wedgeWatch") ? { wedgedAfterUs: Infinity } : {}),
      ...(without("suspicion") ? { suspectAfterUs: 60_000_000, forgetAfterUs: 60_000_000 } : {}),
    });
    const perform = (effect: SchedulerEffect): void => this.#perform(effect);
    const clockUs = 1 + random.below(scenario.clockSkewUs);
    this.#life = { core, host: new Host({ timeline, core, perform, clockUs }) };
    network.join(this);
    this.#readRegistry(this.#life, within(random, REGISTRY_US_MIN, REGISTRY_US_MAX));
  }

  /** Takes tickets before it knows a model, as the service does; without a connection it waits. */
  #readRegistry(life: Life, us: number): void {
    const { timeline, network, registry } = this.#world;
    timeline.after(us, () => {
      if (this.#life !== life) return;
      if (!network.isConnected(this.id)) return this.#readRegistry(life, REGISTRY_US_MAX);
      for (const { name } of registry.records.values()) this.modelChanged(name);
      life.host.post({ type: "registryRead" });
    });
  }

  crash(noticed: boolean): void {
    this.#life?.host.stop();
    this.#life = undefined;
    this.#world.network.leave(this.id, noticed);
    this.#world.observe({ type: "processEnded", process: this.id });
    this.#world.ended(this);
  }

  pause(): void {
    this.#life?.host.pause();
  }

  resume(): void {
    this.#life?.host.resume();
  }

  drain(): void {
    this.#life?.host.post({ type: "drainBegan" });
  }

  /** Differs from one process to the next. */
  get life(): unknown {
    return this.#life;
  }

  get drained(): boolean {
    return this.#life?.core.drained ?? true;
  }

  /** Is told the model's record as it is now; without a connection, when there is one. */
  modelChanged(name: string): void {
    const { network, timeline, registry } = this.#world;
    if (this.up && !network.isConnected(this.id)) {
      return timeline.after(REGISTRY_US_MAX, () => this.modelChanged(name));
    }
    const record = registry.record(name);
    if (!this.#world.without("batchLimit")) {
      this.#life?.host.post({ type: "modelChanged", record });
      return;
    }
    const versions = Object.entries(record.versions).map(([version, spec]) => [
      version,
      { ...spec, maxBatch: 2 * spec.maxBatch },
    ]);
    const wrong = { ...record, versions: Object.fromEntries(versions) };
    this.#life?.host.post({ type: "modelChanged", record: wrong });
  }

  /** The model was removed and added again; whoever was away only hears of the new one. */
  modelReadded(name: string): void {
    if (this.up && this.#world.network.isConnected(this.id)) {
      this.#life?.host.post({ type: "modelRemoved", name });
    }
    this.modelChanged(name);
  }

  connectionChanged(connected: boolean): void {
    if (connected) this.#life?.host.post({ type: "reconnected" });
  }

  receive({ channel, bytes }: Letter): void {
    const host = this.#life?.host;
    if (host === undefined) return;
    switch (channel) {
      case "ticket":
        if (frameKind(bytes) === "cancel") {
          const cancelled = readCancel(bytes);
          this.#observe(cancelledWork(cancelled));
          return host.post({ type: "cancelled", frame: cancelled });
        }
        const arrived = readTickets(bytes);
        this.#observe(queuedWork(this.id, arrived));
        return host.post({ type: "ticketsArrived", frame: this.#levelled(arrived) });
      case "done": {
        const post = () => host.post({ type: "batchDone", frame: readDone(bytes) });
        return this.#world.without("promptDone")
          ? this.#world.timeline.after(LATE_US, post)
          : post();
      }
      case "workerBeat":
        return host.post({ type: "workerBeat", heartbeat: this.#weakened(readWorkerBeat(bytes)) });
      case "schedulerBeat":
        return host.post({ type: "schedulerBeat", heartbeat: readSchedulerBeat(bytes) });
      case "ingressBeat":
        return host.post({ type: "ingressBeat", heartbeat: readIngressBeat(bytes) });
      case "disconnect":
        return host.post({ type: "disconnected", name: readDisconnect(bytes) });
      case "assign":
      case "command":
      case "answer":
      case "fetch":
      case "tensor":
        return;
      default:
        return unreachable(channel);
    }
  }

  #levelled(frame: TicketFrame): TicketFrame {
    if (!this.#world.without("urgentBatches")) return frame;
    return { ...frame, tickets: frame.tickets.map((ticket) => ({ ...ticket, tier: 1 })) };
  }

  #weakened(heartbeat: WorkerHeartbeat): WorkerHeartbeat {
    if (!this.#world.without("freeMemory")) return heartbeat;
    const { device } = heartbeat;
    return { ...heartbeat, device: { ...device, memoryFreeBytes: device.memoryTotalBytes } };
  }

  #perform(effect: SchedulerEffect): void {
    const { network } = this.#world;
    const from = this.id;
    switch (effect.type) {
      case "assign": {
        const { worker, frame } = effect;
        const { id, model, tier, startWithinUs } = frame;
        const seqs = frame.items.map((item) => item.seq);
        this.#world.trace(from, "assign", { worker, id, model, tier, startWithinUs, seqs });
        this.#observe([givenWork(worker, frame)]);
        network.send(worker, { from, channel: "assign", bytes: encodeAssignment(frame) });
        return;
      }
      case "refuse": {
        this.#world.trace(from, "refuse", effect);
        this.#observe(refusedWork(effect));
        const answers = effect.refusals.map((refusal) => {
          const { seq, attempt, code, message, queuedUs } = refusal;
          const body = encoder.encode(message);
          const sizes = { parted: false, bodyBytes: body.length, batchRows: 0, computeUs: 0 };
          return { seq, attempt, error: code, queueUs: queuedUs, ...sizes, body };
        });
        const { ingress, lost } = effect;
        const frame: AnswerFrame = { from, device: lost, answers };
        network.send(ingress, { from, channel: "answer", bytes: encodeAnswers(frame) });
        return;
      }
      case "command": {
        const { worker, command, why } = effect;
        const ref = command.kind === "load" ? command.spec.name : command.ref;
        this.#world.trace(from, command.kind, { worker, ref, why });
        network.send(worker, { from, channel: "command", bytes: encodeJson(command) });
        return;
      }
      case "beat":
        this.#watchQueues(effect.heartbeat);
        network.publish({ from, channel: "schedulerBeat", bytes: encodeJson(effect.heartbeat) });
        return;
      default:
        return unreachable(effect);
    }
  }

  #observe(facts: readonly Fact[]): void {
    for (const fact of facts) this.#world.observe(fact);
  }

  #watchQueues({ loads }: SchedulerHeartbeat): void {
    const max = this.#world.scenario.queueTicketsMax * ROWS_MAX;
    for (const { ref, queuedRows } of loads) {
      const what = `rows for ${ref}`;
      this.#world.observe({ type: "levelRead", process: this.id, what, value: queuedRows, max });
    }
  }
}
