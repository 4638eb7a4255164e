/**
 * A stretch of a replay request by request: the real scheduler core with devices of a stated pace,
 * event by event on virtual time, urgent requests as realtime and deferred ones as batch. What the
 * fluid queue stands for, and is compared with.
 */

import type { AssignmentFrame, ModelRecord, Ticket, WorkerHeartbeat } from "@millrace/protocol";
import { SchedulerCore, type SchedulerEffect } from "@millrace/scheduling";
import { Heap, type Random } from "@millrace/std";
import { FAILED_WAIT_SECONDS, SLOW_WAIT_SECONDS } from "./fluid-queue.ts";
import { TICK_SECONDS } from "./load.ts";
import type { Stretch } from "./stretch.ts";

/** Of the urgent requests; they add up to what was done in time. */
export interface Outcome {
  readonly requests: number;
  /** Waited over `SLOW_WAIT_SECONDS` before they ran. */
  readonly slow: number;
  /** Refused, because they would have waited over `FAILED_WAIT_SECONDS`. */
  readonly failed: number;
}

const MIB = 2 ** 20;
const SECOND_US = 1_000_000;
const TICK_US = TICK_SECONDS * SECOND_US;
const BEAT_US = 100_000;
/** A batch is as large as this, or as what a device does in `BATCH_SECONDS`. */
const BATCH_ROWS_MAX = 8;
const BATCH_SECONDS = 0.08;
/** Of a full batch's time, what a batch takes whatever is in it. */
const FIXED_SHARE = 0.2;
/** Deferred requests may wait for a day: as good as for ever within a stretch. */
const DEFERRED_US = 3_600 * SECOND_US;

interface Planned {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
}

interface Device {
  readonly id: string;
  /** The first one runs. */
  readonly held: AssignmentFrame[];
  seen: number;
  isLeaving: boolean;
}

/** @param perSecond requests of one device, in full batches. */
export const scheduleStretch = (stretch: Stretch, perSecond: number, random: Random): Outcome =>
  new Trial(stretch, perSecond, random).run();

class Trial {
  readonly #stretch: Stretch;
  readonly #random: Random;
  readonly #rowsMax: number;
  readonly #rowUs: number;
  readonly #fixedUs: number;
  readonly #core: SchedulerCore;
  readonly #plan = new Heap<Planned>(
    (a, b) => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order),
  );
  readonly #devices = new Map<string, Device>();
  /** By sequence number; 0 for deferred requests, whose wait nobody counts. */
  readonly #arrivedUs: number[] = [];
  #nowUs = 1_000;
  #order = 0;
  #started = 0;
  #fills = false;
  #deferred = 0;
  #urgent = 0;
  #answered = 0;
  #slow = 0;
  #failed = 0;
  #ticksLeft: number;

  constructor(stretch: Stretch, perSecond: number, random: Random) {
    this.#stretch = stretch;
    this.#random = random;
    this.#rowsMax = Math.max(1, Math.min(BATCH_ROWS_MAX, Math.floor(perSecond * BATCH_SECONDS)));
    const fullUs = (this.#rowsMax * SECOND_US) / perSecond;
    this.#fixedUs = FIXED_SHARE * fullUs;
    this.#rowUs = (fullUs - this.#fixedUs) / this.#rowsMax;
    this.#ticksLeft = stretch.ticks.length;
    const most = stretch.ticks.reduce((max, { ready }) => Math.max(max, ready), 1);
    this.#core = new SchedulerCore({
      id: "s",
      incarnation: 1,
      // As with a fleet that starts a worker for what waits.
      noDeviceGraceUs: Number.POSITIVE_INFINITY,
      // The bound that counts here is the wait.
      queueTicketsMax: Math.ceil(2 * FAILED_WAIT_SECONDS * most * perSecond),
    });
  }

  run(): Outcome {
    this.#perform(this.#core.step({ type: "registryRead" }, this.#nowUs));
    const record = modelOf(this.#rowsMax);
    this.#perform(this.#core.step({ type: "modelChanged", record }, this.#nowUs));
    const startUs = this.#nowUs + SECOND_US;
    this.#resize(this.#stretch.ticks[0]?.ready ?? 0);
    this.#stretch.ticks.forEach((tick, at) => {
      this.#at(startUs + at * TICK_US, () => {
        this.#ticksLeft--;
        this.#fills = tick.fills;
        this.#resize(tick.ready);
        this.#draw(Math.round(tick.urgent));
        this.#fill();
      });
    });
    while (this.#ticksLeft > 0 || this.#answered < this.#urgent) this.#next();
    return { requests: this.#urgent, slow: this.#slow, failed: this.#failed };
  }

  /** Arrivals of a tick, evenly by chance over it. */
  #draw(count: number): void {
    this.#urgent += count;
    for (let each = 0; each < count; each++) {
      this.#at(this.#nowUs + this.#random.below(TICK_US), () => {
        this.#arrive(0, FAILED_WAIT_SECONDS * SECOND_US, this.#nowUs);
      });
    }
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

  #resize(ready: number): void {
    const staying = [...this.#devices.values()].filter(({ isLeaving }) => !isLeaving);
    for (const device of staying.slice(ready)) {
      device.isLeaving = true;
      this.#tell(device);
    }
    for (let count = staying.length; count < ready; count++) {
      const device = { id: `w${this.#started++}`, held: [], seen: 0, isLeaving: false };
      this.#devices.set(device.id, device);
      this.#beat(device);
    }
  }

  /** Keeps two batches of deferred requests for each device in the queue while there are any. */
  #fill(): void {
    const wanted = this.#fills ? 2 * this.#rowsMax * this.#devices.size : 0;
    while (this.#deferred < wanted) {
      this.#deferred++;
      this.#arrive(2, DEFERRED_US, 0);
    }
  }

  #arrive(tier: 0 | 2, remainingUs: number, arrivedUs: number): void {
    const seq = this.#arrivedUs.push(arrivedUs) - 1;
    const ticket: Ticket = {
      seq,
      attempt: 0,
      tier,
      hedge: false,
      alone: false,
      remote: false,
      rows: 1,
      length: 0,
      shapeKey: 0,
      remainingUs,
      bodyBytes: 0,
      tail: new Uint8Array(0),
    };
    const frame = { ingress: "i", model: "m@1", tickets: [ticket] };
    this.#perform(this.#core.step({ type: "ticketsArrived", frame }, this.#nowUs));
  }

  #perform(effects: readonly SchedulerEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "refuse") {
        for (const { seq } of effect.refusals) if (this.#end(seq)) this.#failed++;
      }
      if (effect.type !== "assign") continue;
      const device = this.#devices.get(effect.worker);
      if (device === undefined) continue;
      device.seen = effect.frame.id;
      hold(device.held, effect.frame);
      if (device.held.length === 1) this.#start(device);
    }
  }

  /** @returns whether it was urgent. */
  #end(seq: number): boolean {
    const isUrgent = this.#arrivedUs[seq] !== 0;
    if (isUrgent) this.#answered++;
    else this.#deferred--;
    return isUrgent;
  }

  #batchUs(rows: number): number {
    return Math.round(this.#fixedUs + this.#rowUs * rows);
  }

  #start(device: Device): void {
    const frame = device.held[0];
    if (frame === undefined) return;
    for (const { seq } of frame.items) {
      const arrivedUs = this.#arrivedUs[seq] ?? 0;
      const isUrgent = arrivedUs !== 0;
      if (isUrgent && this.#nowUs - arrivedUs > SLOW_WAIT_SECONDS * SECOND_US) this.#slow++;
    }
    const tookUs = this.#batchUs(frame.items.length);
    this.#at(this.#nowUs + tookUs, () => this.#finish(device, frame, tookUs));
  }

  #finish(device: Device, frame: AssignmentFrame, computeUs: number): void {
    device.held.shift();
    for (const { seq } of frame.items) this.#end(seq);
    this.#start(device);
    const { id, incarnation, model, items } = frame;
    const done = {
      worker: device.id,
      incarnation,
      id,
      seen: device.seen,
      model,
      outcome: "ran",
      rows: items.length,
      computeUs,
      backlogUs: device.held.reduce((sum, each) => sum + this.#batchUs(each.items.length), 0),
    } as const;
    this.#perform(this.#core.step({ type: "batchDone", frame: done }, this.#nowUs));
    this.#fill();
  }

  #beat(device: Device): void {
    if (device.isLeaving && device.held.length === 0) {
      this.#devices.delete(device.id);
      this.#perform(this.#core.step({ type: "disconnected", name: device.id }, this.#nowUs));
      return;
    }
    this.#tell(device);
    this.#at(this.#nowUs + BEAT_US, () => this.#beat(device));
  }

  #tell(device: Device): void {
    const warmUs: [number, number][] = [];
    for (let rows = 1; rows <= this.#rowsMax; rows *= 2) warmUs.push([rows, this.#batchUs(rows)]);
    const heartbeat: WorkerHeartbeat = {
      v: 1,
      id: device.id,
      role: "gpu-worker",
      incarnation: 1,
      beat: 0,
      state: device.isLeaving ? "draining" : "ready",
      device: {
        class: "cuda",
        name: "cuda",
        memoryTotalBytes: 1024 * MIB,
        memoryFreeBytes: 512 * MIB,
        memorySource: "budget",
      },
      progress: this.#answered,
      inFlight: device.held.length,
      backlogUs: 0,
      assignments: { s: { seen: device.seen, held: device.held.map(({ id }) => id) } },
      modelsRevision: 1,
      models: [{ ref: "m@1", state: "ready", bytes: MIB, warmUs }],
    };
    this.#perform(this.#core.step({ type: "workerBeat", heartbeat }, this.#nowUs));
  }
}

/** As a worker does: by tier, and then in the order of their arrival. */
function hold(held: AssignmentFrame[], frame: AssignmentFrame): void {
  const behind = held.findIndex(({ tier }, at) => at > 0 && tier > frame.tier);
  held.splice(behind < 0 ? held.length : behind, 0, frame);
}

const modelOf = (maxBatch: number): ModelRecord => ({
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
      maxBatch,
      provenance: { source: "replay", upstreamName: "m", licence: "none" },
      createdAt: "2026-01-01T00:00:00Z",
    },
  },
});
