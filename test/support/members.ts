/** What the members of a cluster say of themselves: the last heartbeat of each, as it comes. */

import type { Bus } from "@millrace/bus";
import {
  decodeJson,
  type Resident,
  SCHEDULER_HEARTBEATS,
  type SchedulerHeartbeat,
  schedulerHeartbeatSchema,
  WORKER_HEARTBEATS,
  type WorkerHeartbeat,
  workerHeartbeatSchema,
} from "@millrace/protocol";

export class Members {
  readonly #workers = new Map<string, WorkerHeartbeat>();
  readonly #schedulers = new Map<string, SchedulerHeartbeat>();
  /** Of the process that sent the last heartbeat. */
  readonly #residents = new Map<string, readonly Resident[]>();
  readonly #onWorker = new Set<(beat: WorkerHeartbeat) => void>();

  /** Until the connection ends. */
  constructor(bus: Bus) {
    bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(workerHeartbeatSchema, bytes);
      if (beat.ok) this.#heard(beat.value);
    });
    bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(schedulerHeartbeatSchema, bytes);
      if (beat.ok) this.#schedulers.set(beat.value.id, beat.value);
    });
  }

  worker(id: string): WorkerHeartbeat | undefined {
    return this.#workers.get(id);
  }

  scheduler(id: string): SchedulerHeartbeat | undefined {
    return this.#schedulers.get(id);
  }

  /** Tells a process from the one before it; undefined before its first heartbeat. */
  incarnation(id: string): number | undefined {
    return (this.#workers.get(id) ?? this.#schedulers.get(id))?.incarnation;
  }

  /** What the worker has on its device, in any state. */
  residents(id: string): readonly Resident[] {
    return this.#residents.get(id) ?? [];
  }

  holds(id: string, ref: string): boolean {
    return this.residents(id).some((model) => model.ref === ref && model.state === "ready");
  }

  /** Called with every heartbeat of a worker, after it was taken in; returns what ends that. */
  onWorker(listener: (beat: WorkerHeartbeat) => void): () => void {
    this.#onWorker.add(listener);
    return () => void this.#onWorker.delete(listener);
  }

  #heard(beat: WorkerHeartbeat): void {
    const { id, models, incarnation } = beat;
    // A new process begins with an empty device, whatever the one before had.
    if (this.#workers.get(id)?.incarnation !== incarnation) this.#residents.delete(id);
    if (models !== undefined) this.#residents.set(id, models);
    this.#workers.set(id, beat);
    for (const listener of this.#onWorker) listener(beat);
  }
}
