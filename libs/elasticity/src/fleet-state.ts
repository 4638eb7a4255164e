/** Who is there and what each kind of worker can do: what heartbeats told last. */

import { splitRef } from "@millrace/protocol";
import { rowsPerSecond } from "./capacity.ts";
import type { ElasticEvent, Pool, ResidentTimes } from "./events.ts";
import { Measured } from "./measured.ts";

interface Known {
  pool: Pool;
  ready: boolean;
  residents: readonly ResidentTimes[];
  heardAtUs: number;
}

/** What is asked of a model now, and what of it was sent as batch. */
export interface Load {
  readonly rowsPerSecond: number;
  readonly queuedRows: number;
  readonly batchRowsPerSecond: number;
  readonly batchQueuedRows: number;
}

const NO_LOAD: Load = {
  rowsPerSecond: 0,
  queuedRows: 0,
  batchRowsPerSecond: 0,
  batchQueuedRows: 0,
};

const sumOf = (a: Load, b: Load): Load => ({
  rowsPerSecond: a.rowsPerSecond + b.rowsPerSecond,
  queuedRows: a.queuedRows + b.queuedRows,
  batchRowsPerSecond: a.batchRowsPerSecond + b.batchRowsPerSecond,
  batchQueuedRows: a.batchQueuedRows + b.batchQueuedRows,
});

type Heard = Extract<ElasticEvent, { type: "loadsHeard" }>["loads"][number];

export const loadOf = (heard: Heard): Load => ({
  rowsPerSecond: heard.rowsPerSecond,
  queuedRows: heard.queuedRows,
  batchRowsPerSecond: heard.batch?.rowsPerSecond ?? 0,
  batchQueuedRows: heard.batch?.queuedRows ?? 0,
});

export interface FleetStateOptions {
  /** How long a request may take. */
  readonly objectiveUs: number;
  /** The same of single models, in place of what holds for all. */
  readonly objectivesUs?: ReadonlyMap<string, number>;
  /** A worker or scheduler that was not heard for so long is gone. */
  readonly silentUsMax: number;
}

export class FleetState {
  readonly #workers = new Map<string, Known>();
  readonly #loads = new Map<string, { atUs: number; readonly of: Map<string, Load> }>();
  readonly measured = new Measured();
  readonly #options: FleetStateOptions;

  constructor(options: FleetStateOptions) {
    this.#options = options;
  }

  heard(event: Extract<ElasticEvent, { type: "workerHeard" }>, nowUs: number): void {
    const { id, pool, ready } = event;
    const residents = event.residents ?? this.#workers.get(id)?.residents ?? [];
    this.#workers.set(id, { pool, ready, residents, heardAtUs: nowUs });
    const { objectiveUs, objectivesUs } = this.#options;
    for (const { ref, bytes, times } of event.residents ?? []) {
      const rate = rowsPerSecond(times, objectivesUs?.get(splitRef(ref).name) ?? objectiveUs);
      if (rate > 0) this.measured.ran(pool.kind, ref, rate);
      this.measured.resident(ref, bytes);
    }
  }

  lost(id: string): void {
    this.#workers.delete(id);
  }

  loads(event: Extract<ElasticEvent, { type: "loadsHeard" }>, nowUs: number): void {
    const of = new Map<string, Load>();
    // Two versions of a model may be asked for at a time: the one with more counts.
    const most = new Map<string, number>();
    for (const load of event.loads) {
      const { name } = splitRef(load.ref);
      const asked = load.rowsPerSecond + load.queuedRows;
      if (asked > (most.get(name) ?? 0)) {
        most.set(name, asked);
        this.measured.asked(load.ref);
      }
      of.set(name, sumOf(of.get(name) ?? NO_LOAD, loadOf(load)));
    }
    this.#loads.set(event.scheduler, { atUs: nowUs, of });
  }

  /** Forgets who has been silent for too long. */
  expire(nowUs: number): void {
    const oldestUs = nowUs - this.#options.silentUsMax;
    for (const [id, worker] of this.#workers) {
      // By a clock that was set back, nobody was heard later than now.
      worker.heardAtUs = Math.min(worker.heardAtUs, nowUs);
      if (worker.heardAtUs < oldestUs) this.#workers.delete(id);
    }
    for (const [id, heard] of this.#loads) {
      heard.atUs = Math.min(heard.atUs, nowUs);
      if (heard.atUs < oldestUs) this.#loads.delete(id);
    }
  }

  /** Workers that take work, of a kind or of one pool. */
  ready(kind: string, zone?: string, lifecycle?: string): number {
    let count = 0;
    for (const { pool, ready } of this.#workers.values()) {
      if (!ready || pool.kind !== kind) continue;
      if (zone !== undefined && (pool.zone !== zone || pool.lifecycle !== lifecycle)) continue;
      count++;
    }
    return count;
  }

  /** Of every model with arrivals or a queue. */
  demand(): Map<string, Load> {
    const sums = new Map<string, Load>();
    for (const { of } of this.#loads.values()) {
      for (const [model, load] of of) {
        sums.set(model, sumOf(sums.get(model) ?? NO_LOAD, load));
      }
    }
    return sums;
  }
}
