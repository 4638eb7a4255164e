/** Knows from heartbeats which live workers hold which model versions ready. */

import { type WorkerHeartbeat, workerProcess } from "@millrace/protocol";

interface Worker {
  incarnation: number;
  heardUs: number;
  modelsRevision: number;
  ready: readonly string[];
}

export class Devices {
  readonly #suspectAfterUs: number;
  readonly #forgetAfterUs: number;
  readonly #workers = new Map<string, Worker>();
  /** Who holds a version; a worker that fell silent stays listed until it is forgotten. */
  readonly #holders = new Map<string, Set<Worker>>();
  #sweptUs = 0;

  constructor(suspectAfterUs: number, forgetAfterUs: number) {
    this.#suspectAfterUs = suspectAfterUs;
    this.#forgetAfterUs = forgetAfterUs;
  }

  heard(heartbeat: WorkerHeartbeat, nowUs: number): void {
    let worker = this.#workers.get(heartbeat.id);
    if (worker === undefined) {
      worker = { incarnation: 0, heardUs: nowUs, modelsRevision: -1, ready: [] };
      this.#workers.set(heartbeat.id, worker);
    }
    worker.heardUs = nowUs;
    worker.incarnation = heartbeat.incarnation;
    if (heartbeat.state === "draining") {
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

  lost(id: string): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
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
      if (nowUs - worker.heardUs >= this.#forgetAfterUs) this.lost(id);
    }
  }
}
