/** A simulated worker: the real core on a simulated device, what it hears, and what it sends. */

import {
  WORKER_LIMITS,
  WorkerCore,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerLimits,
} from "@millrace/executing";
import { Membership } from "@millrace/membership";
import {
  type AnswerFrame,
  type AssignmentFrame,
  type Command,
  encodeAnswers,
  encodeDone,
  encodeFetch,
  encodeJson,
  FORGET_AFTER_US,
  SUSPECT_AFTER_US,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { present, unreachable } from "@millrace/std";
import { BlobCache } from "./blob-cache.ts";
import { SimulatedDevice } from "./device.ts";
import { HeldBatches } from "./held-batches.ts";
import { Host } from "./host.ts";
import type { Channel, Letter, Member } from "./network.ts";
import {
  readAssignment,
  readCommand,
  readDisconnect,
  readPart,
  readSchedulerBeat,
} from "./reading.ts";
import { placeOf } from "./places.ts";
import type { WorkerPlan } from "./scenario.ts";
import { attemptName, endedWork } from "./work.ts";
import type { Node, World } from "./world.ts";

interface Life {
  readonly core: WorkerCore;
  readonly host: Host<WorkerEvent, WorkerEffect>;
  readonly device: SimulatedDevice;
  readonly held: HeldBatches;
  readonly schedulers: Membership;
}

const HEARS: ReadonlySet<Channel> = new Set(["schedulerBeat", "disconnect"]);
const TICK_US = 1_000_000;
const FAILED_US = 500_000;
const DRAIN_US = 500_000;
/**
 * Longer than any deadline. A straggler of a device that was slowed down may take longer still; it
 * is given up before the simulation looks at what is held when all is over.
 */
const RUN_US = 12_000_000;

export class WorkerNode implements Node, Member {
  readonly id: string;
  readonly hears = HEARS;
  readonly #world: World;
  readonly #plan: WorkerPlan;
  /** Answers that wait for the connection. */
  #kept: { readonly ingress: string; readonly bytes: Uint8Array }[] = [];
  readonly #cache = new BlobCache();
  #life: Life | undefined;

  constructor(world: World, plan: WorkerPlan) {
    this.#world = world;
    this.#plan = plan;
    this.id = plan.id;
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get heldBatches(): number {
    return this.#life?.core.held ?? 0;
  }

  start(): void {
    const { random, timeline, network, scenario } = this.#world;
    const device = new SimulatedDevice(this.#world, this.#plan, this.#cache, () => {
      this.#world.trace(this.id, "segfault", {});
      this.crash(true);
    });
    const held = new HeldBatches(this.#world, this.id, device);
    const core = new WorkerCore({
      id: this.id,
      role: this.#plan.role,
      incarnation: 1 + random.below(2 ** 31),
      device: device.read(),
      limits: this.#limits(),
      ...(scenario.zoned ? { place: placeOf(scenario.seed, this.id) } : {}),
    });
    const schedulers = new Membership({
      suspectAfterUs: SUSPECT_AFTER_US,
      forgetAfterUs: FORGET_AFTER_US,
    });
    const perform = (effect: WorkerEffect): void => this.#perform(effect);
    const observed = {
      step: (event: WorkerEvent, nowUs: number) => this.#step(core, held, event, nowUs),
      get wakeAtUs() {
        return core.wakeAtUs;
      },
    };
    const clockUs = 1 + random.below(scenario.clockSkewUs);
    const host = new Host({ timeline, core: observed, perform, clockUs });
    this.#life = { core, host, device, held, schedulers };
    network.join(this);
    this.#tick(this.#life);
  }

  crash(noticed: boolean): void {
    this.#life?.host.stop();
    this.#life = undefined;
    this.#kept = [];
    this.#world.network.leave(this.id, noticed);
    this.#world.observe({ type: "processEnded", process: this.id });
    this.#world.ended(this);
  }

  pause(): void {
    this.#life?.host.pause();
    this.#life?.device.pause();
  }

  resume(): void {
    this.#life?.host.resume();
    this.#life?.device.resume();
  }

  /** The device of the process that runs now. */
  get device(): SimulatedDevice | undefined {
    return this.#life?.device;
  }

  corruptCache(): void {
    this.#cache.corrupt(this.#world.random);
  }

  drain(): void {
    if (this.#world.without("drain")) return this.crash(true);
    this.#life?.host.post({ type: "drainBegan" });
  }

  connectionChanged(connected: boolean): void {
    if (!connected) return;
    this.#life?.host.do(() => {
      const kept = this.#kept;
      this.#kept = [];
      for (const { ingress, bytes } of kept) this.#answer(ingress, bytes);
      this.#life?.host.post({ type: "audienceChanged" });
    });
  }

  receive({ channel, bytes }: Letter): void {
    const life = this.#life;
    if (life === undefined) return;
    const { host } = life;
    switch (channel) {
      case "assign":
        return host.post({ type: "assigned", frame: readAssignment(bytes) });
      case "tensor": {
        const { from: ingress, seq, attempt, total, bytes: body } = readPart(bytes);
        if (total === 0) return host.post({ type: "bodyGone", ingress, seq, attempt });
        return host.post({ type: "bodyArrived", ingress, seq, attempt, body });
      }
      case "command":
        return host.post({ type: "commanded", command: readCommand(bytes) });
      case "schedulerBeat": {
        const { id: scheduler, incarnation } = readSchedulerBeat(bytes);
        return host.do(() => {
          const heard = life.schedulers.heard(scheduler, incarnation, host.nowUs);
          if (heard === "restarted" || heard === "joined") {
            host.post({ type: "schedulerGone", scheduler });
          }
          if (heard !== "known") host.post({ type: "audienceChanged" });
        });
      }
      case "disconnect": {
        const scheduler = readDisconnect(bytes);
        return host.do(() => {
          if (life.schedulers.lost(scheduler)) host.post({ type: "schedulerGone", scheduler });
        });
      }
      case "ticket":
      case "done":
      case "answer":
      case "fetch":
      case "workerBeat":
      case "ingressBeat":
        return;
      default:
        return unreachable(channel);
    }
  }

  #limits(): Partial<WorkerLimits> {
    const guard = this.#world.without("memoryGuard") ? { memoryFactor: 0 } : {};
    const whole = this.#world.without("bisecting") ? { runsMax: 0 } : {};
    return { failedUs: FAILED_US, ...whole, drainUsMax: DRAIN_US, runUsMax: RUN_US, ...guard };
  }

  /** One step of the core, with an observer beside it that knows what was really sent. */
  #step(
    core: WorkerCore,
    held: HeldBatches,
    event: WorkerEvent,
    nowUs: number,
  ): readonly WorkerEffect[] {
    const before = core.held;
    if (event.type === "bodyArrived") {
      held.bodyEnded(attemptName(event));
    }
    const effects = core.step(this.#weakened(event), nowUs);
    if (event.type === "assigned" && isTaken(event.frame, effects, core.held - before)) {
      held.given(event.frame, effects);
    }
    held.did(effects);
    if (event.type === "runEnded") held.ended(event.id);
    return effects;
  }

  #weakened(event: WorkerEvent): WorkerEvent {
    const world = this.#world;
    if (event.type === "assigned") {
      const late = world.without("latestStart") ? { startWithinUs: 60_000_000 } : {};
      const tier = world.without("tierOrder") ? ({ tier: 1 } as const) : {};
      return { type: "assigned", frame: { ...event.frame, ...late, ...tier } };
    }
    if (event.type !== "commanded" || event.command.kind !== "load") return event;
    if (!world.without("batchLimit")) return event;
    const { spec } = event.command;
    const command: Command = { ...event.command, spec: { ...spec, maxBatch: 2 * spec.maxBatch } };
    return { type: "commanded", command };
  }

  #perform(effect: WorkerEffect): void {
    const life = present(this.#life, "a life");
    const { device, host } = life;
    const from = this.id;
    const { network } = this.#world;
    switch (effect.type) {
      case "run":
        return this.#run(life, effect);
      case "answer":
        for (const fact of endedWork(from, effect)) this.#world.observe(fact);
        return this.#answer(effect.ingress, this.#encodeAnswers(effect.frame));
      case "done": {
        const { scheduler, frame } = effect;
        network.send(scheduler, { from, channel: "done", bytes: encodeDone(frame) });
        return;
      }
      case "fetch": {
        const wants = effect.wants.map(({ seq, attempt }) => ({ seq, attempt }));
        const bytes = encodeFetch({ worker: from, wants });
        if (network.send(effect.ingress, { from, channel: "fetch", bytes })) return;
        for (const { seq, attempt } of wants) {
          host.post({ type: "bodyGone", ingress: effect.ingress, seq, attempt });
        }
        return;
      }
      case "load":
        return this.#load(life, effect);
      case "unload": {
        const { ref } = effect;
        this.#world.trace(from, "unloading", { ref });
        this.#world.observe({ type: "modelHeld", device: from, model: ref, held: false });
        return device.unload(ref, () =>
          host.post({ type: "unloadEnded", ref, device: device.read() }),
        );
      }
      case "beat": {
        this.#world.observe({
          type: "levelRead",
          process: from,
          what: "batches",
          value: effect.heartbeat.inFlight,
          max: WORKER_LIMITS.batchesMax,
        });
        const bytes = encodeJson(this.#said(effect.heartbeat));
        network.publish({ from, channel: "workerBeat", bytes });
        return;
      }
      case "exit":
        this.#world.trace(from, "exit", { reason: effect.reason });
        return this.crash(true);
      default:
        return unreachable(effect);
    }
  }

  #run(life: Life, effect: Extract<WorkerEffect, { readonly type: "run" }>): void {
    const { device, host, held } = life;
    const { id, spec, items, tier, startByUs, partial } = effect;
    const aliveDo = (task: () => void): void => {
      if (this.#life === life) task();
    };
    device.run({
      spec,
      items,
      tier,
      partial,
      startByUs: this.#world.timeline.nowUs + startByUs - host.nowUs,
      began: () =>
        aliveDo(() => {
          const names = items.map(({ item }) => `${item.ingress}/${item.seq}`);
          this.#world.trace(this.id, "run", { model: spec.name, items: names });
          held.began(effect);
        }),
      ended: (result) => {
        aliveDo(() => this.#world.observe({ type: "runEnded", device: this.id }));
        host.post({ type: "runEnded", id, result });
      },
    });
  }

  #said(heartbeat: WorkerHeartbeat): WorkerHeartbeat {
    const { models } = heartbeat;
    if (models === undefined) return heartbeat;
    const noDigest = this.#world.without("residentDigest");
    const noFailing = this.#world.without("failover");
    if (!noDigest && !noFailing) return heartbeat;
    const silent = models.map(({ digest, failing, ...rest }) => ({
      ...rest,
      ...(noDigest || digest === undefined ? {} : { digest }),
      ...(noFailing || failing === undefined ? {} : { failing }),
    }));
    return { ...heartbeat, models: silent };
  }

  #load({ device, host }: Life, { spec }: Extract<WorkerEffect, { readonly type: "load" }>): void {
    const ref = `${spec.name}@${spec.version}`;
    this.#world.trace(this.id, "loading", { ref });
    device.load(spec, (loaded) => {
      this.#world.trace(this.id, "loaded", { ref, loaded });
      const held = !("code" in loaded);
      this.#world.observe({ type: "modelHeld", device: this.id, model: ref, held });
      host.post({ type: "loadEnded", ref, loaded, device: device.read() });
    });
  }

  #encodeAnswers(frame: AnswerFrame): Uint8Array {
    const answers = frame.answers.map(({ seq, error }) => `${seq} ${error ?? "ok"}`);
    this.#world.trace(this.id, "answers", answers);
    return encodeAnswers(frame);
  }

  #answer(ingress: string, bytes: Uint8Array): void {
    const letter: Letter = { from: this.id, channel: "answer", bytes };
    if (!this.#world.network.send(ingress, letter)) this.#kept.push({ ingress, bytes });
  }

  #tick(life: Life): void {
    this.#world.timeline.after(TICK_US, () => {
      if (this.#life !== life) return;
      life.host.do(() => {
        life.schedulers.expire(life.host.nowUs);
        life.host.post({ type: "deviceRead", device: life.device.read() });
      });
      this.#tick(life);
    });
  }
}

/** Was the assignment taken in the step that gave it? Others may have ended in the same step. */
function isTaken(
  { items }: AssignmentFrame,
  effects: readonly WorkerEffect[],
  moreHeld: number,
): boolean {
  const answered = new Set<unknown>();
  let ended = 0;
  for (const effect of effects) {
    if (effect.type === "done") ended++;
    if (effect.type === "answer") for (const item of effect.items) answered.add(item);
  }
  return moreHeld + ended > 0 && !items.every((item) => answered.has(item));
}
