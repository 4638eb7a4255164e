/** Whether the cluster is well: a fault on top of an outage would teach nothing and cost more. */

import type { Bus } from "@millrace/bus";
import type { FaultMember } from "@millrace/faults";
import {
  decodeJson,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  WORKER_HEARTBEATS,
  workerHeartbeatSchema,
} from "@millrace/protocol";

/** Ten heartbeats. */
const SILENT_MS_MAX = 1_000;
const BEATING: readonly string[] = ["scheduler", "gpu-worker", "cpu-worker"];

export class Pulse {
  readonly #bus: Bus;
  /** When each was last heard and well. */
  readonly #heardAtMs = new Map<string, number>();

  constructor(bus: Bus) {
    this.#bus = bus;
    bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(schedulerHeartbeatSchema, bytes);
      if (beat.ok) this.#heardAtMs.set(beat.value.id, performance.now());
    });
    bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(workerHeartbeatSchema, bytes);
      if (beat.ok && beat.value.state === "ready") {
        this.#heardAtMs.set(beat.value.id, performance.now());
      }
    });
  }

  /** Why it is not well; undefined when it is. */
  illness(members: readonly FaultMember[]): string | undefined {
    if (!this.#bus.connected) return "the broker cannot be reached";
    const gone = members.find(({ pid, container }) => (pid ?? container) === undefined);
    if (gone !== undefined) return `${gone.id} does not run`;
    const nowMs = performance.now();
    const silent = members.find(({ id, role }) => {
      const heardAtMs = this.#heardAtMs.get(id) ?? -Infinity;
      return BEATING.includes(role) && nowMs - heardAtMs > SILENT_MS_MAX;
    });
    return silent === undefined ? undefined : `${silent.id} is not heard`;
  }
}
