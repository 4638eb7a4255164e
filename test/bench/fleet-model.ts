/** A fleet on virtual time for the scheduling core: workers that run what they are assigned. */

import {
  type AssignmentFrame,
  batchBuckets,
  type DoneFrame,
  type ModelRecord,
  modelRef,
  type ModelSpec,
  type Resident,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { Heap } from "@millrace/std";

const MAX_BATCH = 16;
const MODEL_BYTES = 64 * 1024 * 1024;
const MEMORY_BYTES = 16 * 1024 * 1024 * 1024;
const BEAT_US = 100_000;

/** A batch takes a fixed time and a time per row, as small models do. */
const batchUs = (rows: number): number => 200 + 25 * rows;

export const modelName = (at: number): string => `model-${at}`;

export function modelRecord(at: number): ModelRecord {
  const tensor = { datatype: "FP32" as const, shape: [-1, 16] };
  const spec: ModelSpec = {
    name: modelName(at),
    version: 1,
    digest: "0".repeat(64),
    bytes: MODEL_BYTES,
    inputs: [{ name: "x", ...tensor }],
    outputs: [{ name: "y", ...tensor }],
    maxBatch: MAX_BATCH,
    provenance: { source: "benchmark", upstreamName: "none", licence: "Apache-2.0" },
    createdAt: "2026-01-01T00:00:00Z",
  };
  return { name: spec.name, active: 1, loaded: true, versions: { 1: spec } };
}

interface FleetWorker {
  readonly id: string;
  readonly models: readonly Resident[];
  readonly held: Set<number>;
  seen: number;
  beat: number;
  progress: number;
  busyUntilUs: number;
}

interface Finish {
  readonly atUs: number;
  readonly worker: FleetWorker;
  readonly frame: DoneFrame;
}

export class FleetModel {
  readonly #scheduler: string;
  readonly #workers = new Map<string, FleetWorker>();
  readonly #order: readonly FleetWorker[];
  readonly #finishes = new Heap<Finish>((a, b) => a.atUs < b.atUs);
  #nextBeat = 0;

  /** Each worker holds `modelsEach` neighbouring models of `models`. */
  constructor(scheduler: string, workers: number, models: number, modelsEach: number) {
    this.#scheduler = scheduler;
    const warmUs = batchBuckets(MAX_BATCH).map((rows): [number, number] => [rows, batchUs(rows)]);
    for (let at = 0; at < workers; at++) {
      const residents = Array.from({ length: modelsEach }, (_, more): Resident => {
        const ref = modelRef(modelName((at * modelsEach + more) % models), 1);
        return { ref, state: "ready", bytes: MODEL_BYTES, warmUs };
      });
      const id = `gpu-worker-${at}`;
      this.#workers.set(id, {
        id,
        models: residents,
        held: new Set(),
        seen: 0,
        beat: 0,
        progress: 0,
        busyUntilUs: 0,
      });
    }
    this.#order = [...this.#workers.values()];
  }

  get size(): number {
    return this.#order.length;
  }

  assign({ id, model, items }: AssignmentFrame, workerId: string, nowUs: number): void {
    const worker = this.#workers.get(workerId) as FleetWorker;
    let rows = 0;
    for (const item of items) rows += item.rows;
    const computeUs = batchUs(rows);
    const atUs = Math.max(nowUs, worker.busyUntilUs) + computeUs;
    worker.busyUntilUs = atUs;
    worker.seen = id;
    worker.held.add(id);
    const done = { worker: workerId, incarnation: 1, id, seen: id, model, rows, computeUs };
    this.#finishes.push({ atUs, worker, frame: { ...done, outcome: "ran", backlogUs: 0 } });
  }

  /** The next batch that is done by now, with what the worker still has to do. */
  finished(nowUs: number): DoneFrame | undefined {
    const next = this.#finishes.peek();
    if (next === undefined || next.atUs > nowUs) return undefined;
    this.#finishes.pop();
    const { worker, frame } = next;
    worker.held.delete(frame.id);
    worker.progress++;
    const { seen, busyUntilUs } = worker;
    return { ...frame, seen, backlogUs: Math.max(0, busyUntilUs - nowUs) };
  }

  /** The next worker whose heartbeat is due; they are spread evenly over the period. */
  beaten(nowUs: number): WorkerHeartbeat | undefined {
    if ((this.#nextBeat * BEAT_US) / this.size > nowUs) return undefined;
    const worker = this.#order[this.#nextBeat++ % this.size] as FleetWorker;
    return heartbeatOf(worker, this.#scheduler, nowUs);
  }
}

function heartbeatOf(worker: FleetWorker, scheduler: string, nowUs: number): WorkerHeartbeat {
  const beat = worker.beat++;
  const usedBytes = worker.models.length * MODEL_BYTES;
  return {
    v: 1,
    id: worker.id,
    role: "gpu-worker",
    incarnation: 1,
    beat,
    state: "ready",
    device: {
      class: "cuda",
      name: "benchmark",
      memoryTotalBytes: MEMORY_BYTES,
      memoryFreeBytes: MEMORY_BYTES - usedBytes,
      memorySource: "driver",
    },
    progress: worker.progress,
    inFlight: worker.held.size,
    backlogUs: Math.max(0, worker.busyUntilUs - nowUs),
    assignments: { [scheduler]: { seen: worker.seen, held: [...worker.held] } },
    modelsRevision: 1,
    ...(beat % 10 === 0 ? { models: [...worker.models] } : {}),
  };
}
