/** Turns heartbeats into events of the elastic core, on its clock, and knows who is there. */

import { type Bus, Connections } from "@millrace/bus";
import type { ElasticEvent, Pool } from "@millrace/elasticity";
import type { HeardWorker } from "@millrace/fleet";
import {
  decodeJson,
  disconnectSchema,
  DISCONNECTS,
  SCHEDULER_HEARTBEATS,
  schedulerHeartbeatSchema,
  WORKER_HEARTBEATS,
  type WorkerHeartbeat,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import type { WallClock } from "@millrace/runtime";
import type { Log } from "@millrace/std";

export interface Hearing {
  /** Everybody who was heard, with when: by the monotonic clock of `nowUs`. */
  readonly workers: () => readonly HeardWorker[];
  /** The pools of those who are there now. */
  readonly present: () => readonly Pool[];
  /**
   * Bytes of models that workers have fetched across zones since the last call. What a worker had
   * fetched before it was first heard is not in it: whoever listened then has booked it.
   */
  readonly takeCrossed: () => readonly Crossed[];
}

export interface Crossed {
  readonly pool: Pool;
  readonly bytes: number;
}

/** What a worker is counted as that does not say what it is. */
const UNNAMED = { zone: "local", lifecycle: "on-demand" } as const;
const SILENT_US_MAX = 2_000_000;

export function openHearing(options: {
  readonly bus: Pick<Bus, "subscribe">;
  readonly clock: WallClock;
  readonly nowUs: () => number;
  readonly log: Log;
  readonly post: (event: ElasticEvent) => void;
}): Hearing {
  const { bus, clock, log, nowUs, post } = options;
  const heard = new Map<string, Heard>();
  const connections = new Connections();
  let crossed: Crossed[] = [];
  bus.subscribe(WORKER_HEARTBEATS, (bytes, subject) => {
    const beat = decodeJson(workerHeartbeatSchema, bytes);
    if (!beat.ok) return log.warn({ subject, ...beat.error }, "a heartbeat was not understood");
    const { id, kind, lifecycle, zone } = beat.value;
    connections.heard(beat.value);
    const pool = poolOf(beat.value);
    const { crossedBytes = 0, incarnation } = beat.value;
    const before = heard.get(id);
    const more = before?.incarnation === incarnation ? crossedBytes - before.crossedBytes : 0;
    if (more > 0) crossed.push({ pool, bytes: more });
    const figures = { incarnation, crossedBytes };
    heard.set(id, { id, kind, zone, lifecycle, pool, heardAtUs: nowUs(), ...figures });
    post(eventOf(beat.value, pool, clock.scale));
  });
  bus.subscribe(SCHEDULER_HEARTBEATS, (bytes, subject) => {
    const beat = decodeJson(schedulerHeartbeatSchema, bytes);
    if (!beat.ok) return log.warn({ subject, ...beat.error }, "a heartbeat was not understood");
    // Per second of the clock that load is counted by.
    const loads = beat.value.loads.map(({ batch, ref, queuedRows, rowsPerSecond }) => ({
      ref,
      queuedRows,
      rowsPerSecond: rowsPerSecond / clock.scale,
      ...(batch === undefined
        ? {}
        : { batch: { ...batch, rowsPerSecond: batch.rowsPerSecond / clock.scale } }),
    }));
    post({ type: "loadsHeard", scheduler: beat.value.id, loads });
  });
  bus.subscribe(DISCONNECTS, (bytes) => {
    const disconnect = decodeJson(disconnectSchema, bytes);
    const id = disconnect.ok ? connections.ended(disconnect.value) : undefined;
    if (id === undefined || !heard.delete(id)) return;
    post({ type: "workerLost", id });
  });
  const present = (): Pool[] => {
    const oldestUs = nowUs() - SILENT_US_MAX;
    for (const [id, { heardAtUs }] of heard) if (heardAtUs < oldestUs) heard.delete(id);
    return [...heard.values()].map(({ pool }) => pool);
  };
  const takeCrossed = (): readonly Crossed[] => {
    const taken = crossed;
    crossed = [];
    return taken;
  };
  return { workers: () => [...heard.values()], present, takeCrossed };
}

interface Heard extends HeardWorker {
  readonly pool: Pool;
  readonly incarnation: number;
  readonly crossedBytes: number;
}

const poolOf = ({ kind, zone, lifecycle, role }: WorkerHeartbeat): Pool => ({
  kind: kind ?? role,
  zone: zone ?? UNNAMED.zone,
  lifecycle: lifecycle ?? UNNAMED.lifecycle,
});

/** Times are measured in real microseconds; on a faster clock they take as many times as many. */
function eventOf({ id, state, models }: WorkerHeartbeat, pool: Pool, scale: number): ElasticEvent {
  const event = { type: "workerHeard", id, pool, ready: state === "ready" } as const;
  if (models === undefined) return event;
  const residents = models
    .filter(({ state: loaded }) => loaded === "ready")
    .map(({ ref, bytes, warmUs = [] }) => ({
      ref,
      bytes,
      times: warmUs.map(([rows, us]) => ({ rows, us: us * scale })),
    }));
  return { ...event, residents };
}
