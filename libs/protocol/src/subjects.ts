/**
 * Every NATS subject of Millrace. Ids are names in the sense of `isName`, so none of them can widen
 * a subject. Who may use which is the table in `broker`.
 */

export const subjects = {
  /** Ingress to scheduler: ticket frames and cancellations. */
  ticket: (schedulerId: string) => `mr.ticket.${schedulerId}`,
  /** Worker to scheduler: what a batch took. */
  done: (schedulerId: string) => `mr.done.${schedulerId}`,
  /** Scheduler to worker: one batch. */
  assign: (workerId: string) => `mr.assign.${workerId}`,
  /** Scheduler to worker: load and unload, JSON. */
  command: (workerId: string) => `mr.command.${workerId}`,
  /** Worker or scheduler to ingress: answers and refusals. */
  answer: (ingressId: string) => `mr.answer.${ingressId}`,
  /** Worker to ingress: send me these bodies. */
  fetch: (ingressId: string) => `mr.fetch.${ingressId}`,
  /** Ingress to worker: parts of a large body. */
  tensor: (workerId: string) => `mr.tensor.${workerId}`,
  schedulerHeartbeat: (schedulerId: string) => `mr.hb.scheduler.${schedulerId}`,
  workerHeartbeat: (workerId: string) => `mr.hb.worker.${workerId}`,
  /** Events for people and tools, JSON: `mr.evt.<name>`. */
  event: (name: string) => `mr.evt.${name}`,
} as const;

export const SCHEDULER_HEARTBEATS = "mr.hb.scheduler.*";
export const WORKER_HEARTBEATS = "mr.hb.worker.*";
/** The broker's own disconnect events, imported from the system account. */
export const DISCONNECTS = "mr.sys.disconnect";
/** The registry of models (KV bucket) and the blobs by digest (object store bucket). */
export const REGISTRY_BUCKET = "mr_models";
export const BLOB_BUCKET = "mr_blobs";
