/** Knows from heartbeats which live workers hold which model versions ready, and which ended. */

import { type WorkerHeartbeat, workerProcess } from "@millrace/protocol";
import { Endings } from "./endings.ts";

interface Worker {
  incarnation: number;
  heardUs: number;
  draining: boolean;
  modelsRevision: number;
  ready: readonly string[];
}

export class Devices {
  readonly #suspectAfterUs: number;
  readonly #forgetAfterUs: number;
  readonly #workers = new Map<string, Worker>();
  /** Who holds a version; a worker that fell silent stays listed until it is forgotten. */
  readonly #holders = new Map<string, Set<Worker>>();
  /** Processes that ended of themselves: one that drained was asked to. */
  readonly endings = new Endings();
  #sweptUs = 0;

  constructor(suspectAfterUs: number, forgetAfterUs: number) {
    this.#suspectAfterUs = suspectAfterUs;
    this.#forgetAfterUs = forgetAfterUs;
  }

  heard(heartbeat: WorkerHeartbeat, nowUs: number): void {
    let worker = this.#workers.get(heartbeat.id);
    if (worker === undefined) {
      const { incarnation } = heartbeat;
      const draining = heartbeat.state === "draining";
      worker = { incarnation, heardUs: nowUs, draining, modelsRevision: -1, ready: [] };
      this.#workers.set(heartbeat.id, worker);
    }
    if (worker.incarnation !== heartbeat.incarnation) this.#ended(heartbeat.id, worker, nowUs);
    worker.heardUs = nowUs;
    worker.incarnation = heartbeat.incarnation;
    worker.draining = heartbeat.state === "draining";
    if (worker.draining) {
      this.#hold(worker, []);
    } else if (heartbeat.models !== undefined) {
      const ready = heartbeat.models.filter((model) => model.state === "ready");
      this.#hold(
        worker,
        ready.map((model) => model.ref),
      );
    } else if (worker.modelsRevision !== heartbeat.modelsRevision) {
      // Another list than the one known, and it did not come: what was known may be wrong.
      this.#hold(worker, []);
    }
    worker.modelsRevision = heartbeat.modelsRevision;
    if (nowUs - this.#sweptUs >= this.#forgetAfterUs) this.#sweep(nowUs);
  }

  /** The life of the worker that was last heard of. */
  process(id: string): string {
    const worker = this.#workers.get(id);
    return worker === undefined ? id : workerProcess(id, worker.incarnation);
  }

  lost(id: string, nowUs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    this.#ended(id, worker, nowUs);
    this.#forget(id, worker);
  }

  /** A live worker that is none of these: it was there when they ended, and is still. */
  livesOther(ids: readonly string[], nowUs: number): boolean {
    for (const [id, { heardUs }] of this.#workers) {
      if (nowUs - heardUs < this.#suspectAfterUs && !ids.includes(id)) return true;
    }
    return false;
  }

  #ended(id: string, { draining, incarnation }: Worker, nowUs: number): void {
    if (!draining) this.endings.note(workerProcess(id, incarnation), nowUs);
  }

  #forget(id: string, worker: Worker): void {
    this.#hold(worker, []);
    this.#workers.delete(id);
  }

  /** Live workers that hold the version ready. */
  count(ref: string, nowUs: number): number {
    let live = 0;
    for (const worker of this.#holders.get(ref) ?? []) {
      if (nowUs - worker.heardUs < this.#suspectAfterUs) live++;
    }
    return live;
  }

  /** True where any live worker holds the version ready. */
  has(ref: string, nowUs: number): boolean {
    for (const worker of this.#holders.get(ref) ?? []) {
      if (nowUs - worker.heardUs < this.#suspectAfterUs) return true;
    }
    return false;
  }

  #hold(worker: Worker, ready: readonly string[]): void {
    for (const ref of worker.ready) {
      const holders = this.#holders.get(ref);
      holders?.delete(worker);
      if (holders?.size === 0) this.#holders.delete(ref);
    }
    worker.ready = ready;
    for (const ref of ready) {
      const holders = this.#holders.get(ref);
      if (holders === undefined) this.#holders.set(ref, new Set([worker]));
      else holders.add(worker);
    }
  }

  #sweep(nowUs: number): void {
    this.#sweptUs = nowUs;
    for (const [id, worker] of this.#workers) {
      if (nowUs - worker.heardUs >= this.#forgetAfterUs) this.#forget(id, worker);
    }
  }
}
