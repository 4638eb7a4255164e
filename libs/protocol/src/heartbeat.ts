/** What schedulers and workers say of themselves, in JSON so that `nats sub 'mr.hb.>'` reads it. */

import * as v from "valibot";
import { isName } from "@millrace/std";

const id = v.pipe(v.string(), v.check(isName));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** The part of a heartbeat that tells its process from any other with the same id. */
export const processIdentitySchema = v.object({
  incarnation: whole,
  startedMs: v.optional(whole, 0),
});

/** A connection as its NATS server names it, in the events of its end too. */
export const connectionSchema = v.object({ server: v.string(), client: whole });
export type ConnectionId = v.InferOutput<typeof connectionSchema>;

export const DEVICE_CLASSES = ["cuda", "webgpu", "emulated", "cpu"] as const;
export type DeviceClass = (typeof DEVICE_CLASSES)[number];
export const isAccelerator = (device: DeviceClass): boolean => device !== "cpu";

/** How a machine is paid for: a spot machine is cheaper, and is taken away after a notice. */
export const LIFECYCLES = ["on-demand", "spot"] as const;
export type Lifecycle = (typeof LIFECYCLES)[number];

export const residentSchema = v.object({
  ref: v.string(),
  /** Of the file that it was loaded from: a ref can come back with other bytes (I8). */
  digest: v.optional(v.string()),
  state: v.picklist(["loading", "ready", "unloading", "failed"]),
  /** Measured once loaded, estimated before; of one that failed for want of room, its need. */
  bytes: whole,
  /** Warm-up times: pairs of rows and microseconds. */
  warmUs: v.optional(v.array(v.tuple([whole, whole]))),
  error: v.optional(v.object({ code: v.string(), message: v.string() })),
  /**
   * It is loaded, and the last batches of it ran nothing, for which no input was to blame: the
   * device has no memory left for runs, or runs nothing that is known to run.
   */
  failing: v.optional(v.literal(true)),
});
export type Resident = v.InferOutput<typeof residentSchema>;

export const deviceSchema = v.object({
  class: v.picklist(DEVICE_CLASSES),
  name: v.string(),
  memoryTotalBytes: whole,
  memoryFreeBytes: whole,
  /**
   * `driver`: asked of the device. `budget`: a declared budget less what models measurably take.
   */
  memorySource: v.picklist(["driver", "budget"]),
});
export type Device = v.InferOutput<typeof deviceSchema>;

export const workerHeartbeatSchema = v.object({
  v: v.literal(1),
  id,
  role: v.picklist(["gpu-worker", "cpu-worker"]),
  /** What the price book calls the machine, where it stands, and how it is paid for. */
  kind: v.optional(id),
  zone: v.optional(id),
  lifecycle: v.optional(v.picklist(LIFECYCLES)),
  /** Bytes of models that it has fetched from a store in another zone since its start. */
  crossedBytes: v.optional(whole),
  /** Drawn at process start: tells a restarted worker from the one before. */
  incarnation: whole,
  /** Unix milliseconds of the process's start: of two with one id, the earlier ends. */
  startedMs: v.optional(whole),
  /** The one that it speaks through: the end of any other under its name is not its own. */
  connection: v.optional(connectionSchema),
  /** Rises by one per heartbeat. */
  beat: whole,
  state: v.picklist(["ready", "draining"]),
  device: deviceSchema,
  /** Batches finished; a device that is busy and does not progress is wedged. */
  progress: whole,
  /** Batches held, running or waiting. */
  inFlight: whole,
  backlogUs: whole,
  /** Per scheduler: the highest assignment id seen, and the ids still held. */
  assignments: v.record(v.string(), v.object({ seen: whole, held: v.array(whole) })),
  /** Rises when `models` changes; the list itself is sent on change and once a second. */
  modelsRevision: whole,
  models: v.optional(v.array(residentSchema)),
});
export type WorkerHeartbeat = v.InferOutput<typeof workerHeartbeatSchema>;

/** An ingress that was told its zone says so once a second: devices there are preferred. */
export const ingressHeartbeatSchema = v.object({
  v: v.literal(1),
  /** Its address on the bus, as its tickets have it. */
  id,
  zone: id,
});
export type IngressHeartbeat = v.InferOutput<typeof ingressHeartbeatSchema>;

/** One model's state at the scheduler that owns it. */
export const modelLoadSchema = v.object({
  ref: v.string(),
  queuedRows: whole,
  /** Nobody waits: the one row stands for those who could not wait for its load. */
  missed: v.optional(v.literal(true)),
  /**
   * Predicted wait of a request that arrives now at standard priority, and its time on a device.
   */
  waitUs: whole,
  computeUs: whole,
  /** Time that what waits takes on each of the model's devices, by tier; absent where none does. */
  queueUs: v.optional(v.tuple([whole, whole, whole])),
  /** Arrivals a second, smoothed. */
  rowsPerSecond: v.pipe(v.number(), v.minValue(0)),
  /** Of the queued rows and the arrivals, those of priority batch; absent where there are none. */
  batch: v.optional(
    v.object({ queuedRows: whole, rowsPerSecond: v.pipe(v.number(), v.minValue(0)) }),
  ),
});
export type ModelLoad = v.InferOutput<typeof modelLoadSchema>;

export const schedulerHeartbeatSchema = v.object({
  v: v.literal(1),
  id,
  incarnation: whole,
  /** As of a worker. */
  startedMs: v.optional(whole),
  connection: v.optional(connectionSchema),
  beat: whole,
  state: v.picklist(["ready", "draining"]),
  /** How often its connection came back: what was sent to it before that may never have come. */
  breaks: v.optional(whole, 0),
  /** Models with work or recent arrivals only. */
  loads: v.array(modelLoadSchema),
});
export type SchedulerHeartbeat = v.InferOutput<typeof schedulerHeartbeatSchema>;
