/**
 * The real scheduler core with a few devices, event by event on virtual time, for short stretches:
 * what the fluid queue stands for.
 */

import type { AssignmentFrame, ModelRecord, Ticket, WorkerHeartbeat } from "@millrace/protocol";
import { SchedulerCore, type SchedulerEffect } from "@millrace/scheduling";
import { Heap, type Random } from "@millrace/std";

const MIB = 2 ** 20;
const SECOND_US = 1_000_000;
const BEAT_US = 100_000;
const MAX_BATCH = 8;
/** A full batch takes 80 ms: 100 requests a second of one device. */
const RUN_US = 16_000;
const ROW_US = 8_000;
const batchUs = (rows: number): number => RUN_US + ROW_US * rows;
export const PER_DEVICE_PER_SECOND = (MAX_BATCH * SECOND_US) / batchUs(MAX_BATCH);

export interface Stretch {
  readonly seconds: number;
  readonly perSecond: number;
}

export interface Discrete {
  readonly arrived: number;
  readonly done: number;
  readonly refused: number;
  /** Requests that waited over a second before they ran. */
  readonly slow: number;
  /** Done per second while the load was above capacity for the whole second. */
  readonly mostPerSecond: number;
}

const RECORD: ModelRecord = {
  name: "m",
  active: 1,
  loaded: true,
  versions: {
    "1": {
      name: "m",
      version: 1,
      digest: "0".repeat(64),
      bytes: MIB,
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
      outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
      maxBatch: MAX_BATCH,
      provenance: { source: "test", upstreamName: "m", licence: "MIT" },
      createdAt: "2026-01-01T00:00:00Z",
    },
  },
};

interface Planned {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
}

interface Device {
  readonly id: string;
  readonly held: AssignmentFrame[];
  seen: number;
}

/** Poisson arrivals in stretches of constant load; ends when everything is answered. */
export class DiscreteCluster {
  readonly #core = new SchedulerCore({ id: "s", incarnation: 1 });
  readonly #plan = new Heap<Planned>(
    (a, b) => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order),
  );
  readonly #devices: readonly Device[];
  readonly #arrivedUs: number[] = [];
  readonly #perSecond: number[] = [];
  readonly #random: Random;
  #nowUs = 1_000;
  #order = 0;
  #done = 0;
  #refused = 0;
  #slow = 0;

  constructor(devices: number, random: Random) {
    this.#random = random;
    this.#devices = Array.from({ length: devices }, (_, at) => ({
      id: `w${at}`,
      held: [],
      seen: 0,
    }));
    this.#perform(this.#core.step({ type: "registryRead" }, this.#nowUs));
    this.#perform(this.#core.step({ type: "modelChanged", record: RECORD }, this.#nowUs));
    for (const device of this.#devices) this.#beat(device);
  }

  run(stretches: readonly Stretch[]): Discrete {
    let atUs = this.#nowUs + SECOND_US;
    for (const { seconds, perSecond } of stretches) {
      const endUs = atUs + seconds * SECOND_US;
      for (let nextUs = atUs; ;) {
        nextUs += this.#random.exponential(SECOND_US / perSecond);
        if (nextUs >= endUs) break;
        this.#at(Math.round(nextUs), () => this.#arrive());
      }
      atUs = endUs;
    }
    const total = (): number => this.#done + this.#refused;
    while (this.#nowUs < atUs || total() < this.#arrivedUs.length) this.#next();
    return {
      arrived: this.#arrivedUs.length,
      done: this.#done,
      refused: this.#refused,
      slow: this.#slow,
      mostPerSecond: this.#perSecond.reduce((most, count) => Math.max(most, count), 0),
    };
  }

  #at(atUs: number, run: () => void): void {
    this.#plan.push({ atUs, order: this.#order++, run });
  }

  #next(): void {
    const wakeUs = this.#core.wakeAtUs;
    const planned = this.#plan.peek();
    if (planned === undefined || wakeUs < planned.atUs) {
      this.#nowUs = Math.max(this.#nowUs, wakeUs);
      this.#perform(this.#core.step({ type: "woke" }, this.#nowUs));
      return;
    }
    this.#plan.pop();
    this.#nowUs = planned.atUs;
    planned.run();
  }

  #arrive(): void {
    const seq = this.#arrivedUs.push(this.#nowUs) - 1;
    const ticket: Ticket = {
      seq,
      attempt: 0,
      tier: 1,
      hedge: false,
      alone: false,
      remote: false,
      rows: 1,
      length: 0,
      shapeKey: 0,
      remainingUs: 30 * SECOND_US,
      bodyBytes: 0,
      tail: new Uint8Array(0),
    };
    const frame = { ingress: "i", model: "m@1", tickets: [ticket] };
    this.#perform(this.#core.step({ type: "ticketsArrived", frame }, this.#nowUs));
  }

  #perform(effects: readonly SchedulerEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "refuse") this.#refused += effect.refusals.length;
      if (effect.type !== "assign") continue;
      const device = this.#devices.find(({ id }) => id === effect.worker);
      if (device === undefined) continue;
      device.seen = effect.frame.id;
      device.held.push(effect.frame);
      if (device.held.length === 1) this.#start(device);
    }
  }

  #start(device: Device): void {
    const frame = device.held[0];
    if (frame === undefined) return;
    for (const { seq } of frame.items) {
      if (this.#nowUs - (this.#arrivedUs[seq] ?? 0) > SECOND_US) this.#slow++;
    }
    const tookUs = batchUs(frame.items.length);
    this.#at(this.#nowUs + tookUs, () => this.#finish(device, frame, tookUs));
  }

  #finish(device: Device, frame: AssignmentFrame, computeUs: number): void {
    device.held.shift();
    this.#done += frame.items.length;
    const second = Math.floor(this.#nowUs / SECOND_US);
    this.#perSecond[second] = (this.#perSecond[second] ?? 0) + frame.items.length;
    this.#start(device);
    const { id, incarnation, model, items } = frame;
    const done = {
      worker: device.id,
      incarnation,
      id,
      model,
      outcome: "ran",
      rows: items.length,
      computeUs,
      backlogUs: device.held.reduce((sum, each) => sum + batchUs(each.items.length), 0),
    } as const;
    this.#perform(this.#core.step({ type: "batchDone", frame: done }, this.#nowUs));
  }

  #beat(device: Device): void {
    const heartbeat: WorkerHeartbeat = {
      v: 1,
      id: device.id,
      role: "gpu-worker",
      incarnation: 1,
      beat: 0,
      state: "ready",
      device: {
        class: "cuda",
        name: "cuda",
        memoryTotalBytes: 1024 * MIB,
        memoryFreeBytes: 512 * MIB,
        memorySource: "budget",
      },
      progress: this.#done,
      inFlight: device.held.length,
      backlogUs: 0,
      assignments: { s: { seen: device.seen, held: device.held.map(({ id }) => id) } },
      modelsRevision: 1,
      models: [
        {
          ref: "m@1",
          state: "ready",
          bytes: MIB,
          warmUs: [1, 2, 4, 8].map((rows) => [rows, batchUs(rows)] as const),
        },
      ],
    };
    this.#perform(this.#core.step({ type: "workerBeat", heartbeat }, this.#nowUs));
    this.#at(this.#nowUs + BEAT_US, () => this.#beat(device));
  }
}
