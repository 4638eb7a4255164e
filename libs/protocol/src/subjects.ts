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

/** One row of the documentation's table of subjects. */
export interface SubjectRow {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly content: string;
  readonly meaning: string;
}

export const SUBJECT_TABLE: readonly SubjectRow[] = [
  {
    subject: subjects.ticket("<scheduler>"),
    from: "ingress",
    to: "scheduler",
    content: "binary: ticket or cancel frame",
    meaning: "requests for models that the scheduler owns; requests whose clients are gone",
  },
  {
    subject: subjects.assign("<worker>"),
    from: "scheduler",
    to: "worker",
    content: "binary: assignment frame",
    meaning: "one batch, with its latest start",
  },
  {
    subject: subjects.done("<scheduler>"),
    from: "worker",
    to: "scheduler",
    content: "binary: done frame",
    meaning: "what a batch took on the device, and the backlog",
  },
  {
    subject: subjects.answer("<ingress>"),
    from: "worker, scheduler",
    to: "ingress",
    content: "binary: answer and part frames",
    meaning: "results and refusals; several requests share a frame",
  },
  {
    subject: subjects.fetch("<ingress>"),
    from: "worker",
    to: "ingress",
    content: "binary: fetch frame",
    meaning: "asks for bodies that were too large to travel in their tickets",
  },
  {
    subject: subjects.tensor("<worker>"),
    from: "ingress",
    to: "worker",
    content: "binary: part frames",
    meaning: "those bodies, in parts",
  },
  {
    subject: subjects.command("<worker>"),
    from: "scheduler",
    to: "worker",
    content: "JSON",
    meaning: "load or unload a model",
  },
  {
    subject: subjects.schedulerHeartbeat("<scheduler>"),
    from: "scheduler",
    to: "ingress, scheduler, worker",
    content: "JSON, 10 a second",
    meaning: "alive; queue, wait and rate of each model with work",
  },
  {
    subject: subjects.workerHeartbeat("<worker>"),
    from: "worker",
    to: "ingress, scheduler",
    content: "JSON, 10 a second",
    meaning: "alive; progress, device memory, models, batches held",
  },
  {
    subject: DISCONNECTS,
    from: "nats-server",
    to: "ingress, scheduler, worker",
    content: "JSON",
    meaning: "a connection ended: the broker's own event, imported from the system account",
  },
  {
    subject: `$KV.${REGISTRY_BUCKET}.<model>`,
    from: "millrace command",
    to: "ingress, scheduler",
    content: "JSON",
    meaning: "the registry: a model's versions, and which of them answers",
  },
  {
    subject: `$O.${BLOB_BUCKET}.>`,
    from: "millrace command",
    to: "worker",
    content: "object store",
    meaning: "ONNX files by SHA-256",
  },
  {
    subject: "$SRV.>",
    from: "nats command",
    to: "every service",
    content: "JSON (ADR-32)",
    meaning: "`nats micro ls`, `info` and `stats`",
  },
];
