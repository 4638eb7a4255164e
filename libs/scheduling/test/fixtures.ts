/** A scheduler core with hand-made workers, models and tickets. */

import {
  type DeviceClass,
  type DoneFrame,
  isAccelerator,
  type ModelLoad,
  type ModelRecord,
  type Resident,
  type Ticket,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { SchedulerCore, type SchedulerEffect, type SchedulerEvent } from "../src/index.ts";

const MIB = 1024 ** 2;

export function record(
  name: string,
  options: { maxBatch?: number; bytes?: number } = {},
): ModelRecord {
  const spec = {
    name,
    version: 1,
    digest: "0".repeat(64),
    bytes: options.bytes ?? MIB,
    inputs: [{ name: "x", datatype: "FP32" as const, shape: [-1, 4] }],
    outputs: [{ name: "y", datatype: "FP32" as const, shape: [-1, 4] }],
    maxBatch: options.maxBatch ?? 8,
    provenance: { source: "test", upstreamName: name, licence: "MIT" },
    createdAt: "2026-01-01T00:00:00Z",
  };
  return { name, active: 1, loaded: true, versions: { "1": spec } };
}

export const ready = (ref: string, us = 1_000): Resident => ({
  ref,
  state: "ready",
  bytes: MIB,
  warmUs: [
    [1, us],
    [8, us * 2],
  ],
});

export function beat(
  id: string,
  options: {
    readonly device?: DeviceClass;
    readonly models?: readonly Resident[];
    readonly revision?: number;
    readonly incarnation?: number;
    readonly freeBytes?: number;
    readonly totalBytes?: number;
    readonly state?: "ready" | "draining";
    readonly assignments?: WorkerHeartbeat["assignments"];
  } = {},
): WorkerHeartbeat {
  const device = options.device ?? "cuda";
  return {
    v: 1,
    id,
    role: isAccelerator(device) ? "gpu-worker" : "cpu-worker",
    incarnation: options.incarnation ?? 1,
    beat: 0,
    state: options.state ?? "ready",
    device: {
      class: device,
      name: device,
      memoryTotalBytes: options.totalBytes ?? 1024 * MIB,
      memoryFreeBytes: options.freeBytes ?? 512 * MIB,
      memorySource: "budget",
    },
    progress: 0,
    inFlight: 0,
    backlogUs: 0,
    assignments: options.assignments ?? {},
    modelsRevision: options.revision ?? 1,
    models: [...(options.models ?? [])],
  };
}

export const ticket = (seq: number, options: Partial<Ticket> = {}): Ticket => ({
  seq,
  attempt: 0,
  tier: 1,
  hedge: false,
  alone: false,
  remote: false,
  rows: 1,
  length: 0,
  shapeKey: 0,
  remainingUs: 10_000_000,
  bodyBytes: 0,
  tail: new Uint8Array(16),
  ...options,
});

export type Assign = Extract<SchedulerEffect, { type: "assign" }>;
export type Refuse = Extract<SchedulerEffect, { type: "refuse" }>;
export type Load = Extract<SchedulerEffect, { type: "command" }>;

/** The core with a clock of its own; everything it wanted done is kept by kind. */
export class Bench {
  readonly core: SchedulerCore;
  nowUs = 1_000;
  readonly assigned: Assign[] = [];
  readonly refused: Refuse[] = [];
  readonly commands: Load[] = [];
  /** Of the last beat. */
  loads: readonly ModelLoad[] = [];

  constructor(
    options: Partial<ConstructorParameters<typeof SchedulerCore>[0]> = {},
    registry: "read" | "unread" = "read",
  ) {
    this.core = new SchedulerCore({ id: "scheduler-1", incarnation: 1, ...options });
    if (registry === "read") this.step({ type: "registryRead" });
  }

  step(event: SchedulerEvent): readonly SchedulerEffect[] {
    const effects = this.core.step(event, this.nowUs);
    for (const effect of effects) {
      if (effect.type === "assign") this.assigned.push(effect);
      else if (effect.type === "refuse") this.refused.push(effect);
      else if (effect.type === "command") this.commands.push(effect);
      else this.loads = effect.heartbeat.loads;
    }
    return effects;
  }

  hear(heartbeat: WorkerHeartbeat): void {
    this.step({ type: "workerBeat", heartbeat });
  }

  know(model: ModelRecord): void {
    this.step({ type: "modelChanged", record: model });
  }

  send(model: string, ...tickets: readonly Ticket[]): void {
    this.step({ type: "ticketsArrived", frame: { ingress: "ingress-1", model, tickets } });
  }

  /** @param told what the worker says of the rest; by default that it has nothing more. */
  done(
    { worker, frame }: Assign,
    computeUs = 1_000,
    told: Partial<Pick<DoneFrame, "backlogUs" | "seen">> = {},
  ): void {
    const { id, incarnation, model, items } = frame;
    this.step({
      type: "batchDone",
      frame: {
        worker,
        incarnation,
        id,
        seen: id,
        model,
        outcome: "ran",
        rows: items.length,
        computeUs,
        backlogUs: 0,
        ...told,
      },
    });
  }

  /** Lets time pass, waking the core whenever it asks; nobody beats meanwhile. */
  pass(us: number): void {
    const endUs = this.nowUs + us;
    while (this.core.wakeAtUs <= endUs) {
      this.nowUs = Math.max(this.nowUs + 1, this.core.wakeAtUs);
      this.step({ type: "woke" });
    }
    this.nowUs = Math.max(this.nowUs, endUs);
  }

  seqs(effect: Assign | undefined): readonly number[] {
    return effect?.frame.items.map(({ seq }) => seq) ?? [];
  }

  get codes(): readonly string[] {
    return this.refused.flatMap(({ refusals }) => refusals.map(({ code }) => code));
  }
}
