/**
 * Every NATS subject of Millrace. Ids are names in the sense of `isName`, so none of them can widen
 * a subject. Who may use which is the table in `broker`.
 */

import { hash32, isName } from "@millrace/std";

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
  ingressHeartbeat: (ingressId: string) => `mr.hb.ingress.${ingressId}`,
  /** The queue of durable jobs: one message is one chunk of a job's items, in its tenant's lane. */
  job: (tenant: string, model: string) => `mr.job.${jobLane(tenant)}.${tenant}.${model}`,
  jobLane: (lane: number) => `mr.job.${lane}.*.*`,
  /** The results of one chunk; the first write stands. */
  jobResult: (tenant: string, job: string, chunk: string) => `mr.result.${tenant}.${job}.${chunk}`,
  /** A chunk that was given up, with its items and the reason. */
  jobDead: (tenant: string, job: string, chunk: string) => `mr.dead.${tenant}.${job}.${chunk}`,
  /** The queue of webhooks: one message for each end of a job. */
  jobHook: (tenant: string, job: string) => `mr.hook.${tenant}.${job}`,
  /** What a member saw of a model in one minute, and all of them in one hour. */
  loadMinute: (model: string) => `mr.load.minute.${model}`,
  loadHour: (model: string) => `mr.load.hour.${model}`,
  /** What ran, a minute at a time: worker-seconds by pool. */
  ledger: (pool: string) => `mr.ledger.${pool}`,
  /** Forecaster to whoever starts workers here: counts, JSON, answered. */
  fleet: (agent: string) => `mr.fleet.${agent}`,
  /** Events for people and tools, JSON: `mr.evt.<name>`. */
  event: (name: string) => `mr.evt.${name}`,
  /** Chaos-monkey to a process in which faults are enabled: arm a hook, JSON, answered. */
  chaosHook: (role: string, id: string) => `mr.chaos.hook.${role}.${id}`,
} as const;

export const SCHEDULER_HEARTBEATS = "mr.hb.scheduler.*";
export const WORKER_HEARTBEATS = "mr.hb.worker.*";
export const INGRESS_HEARTBEATS = "mr.hb.ingress.*";
/** Asks the chaos-monkey, JSON, answered; and what it reports of every fault. */
export const CHAOS_COMMAND = "mr.chaos.command";
export const CHAOS_JOURNAL = "mr.chaos.journal";
/** The broker's own disconnect events, imported from the system account. */
export const DISCONNECTS = "mr.sys.disconnect";
/** The registry of models (KV bucket) and the blobs by digest (object store bucket). */
export const REGISTRY_BUCKET = "mr_models";
export const BLOB_BUCKET = "mr_blobs";
/** Durable jobs: their queue, records, results, dead letters, large objects and webhooks. */
export const JOB_STREAM = "mr_job_chunks";
export const JOB_STATE_BUCKET = "mr_job_state";
export const JOB_RESULT_STREAM = "mr_job_results";
export const JOB_OBJECT_BUCKET = "mr_job_objects";
export const JOB_HOOK_STREAM = "mr_job_hooks";
export const DEAD_STREAM = "mr_dead";
/** The durable consumer of the queue of webhooks. */
export const JOB_CONSUMER = "runner";
/** Lanes of the queue of jobs: runners take from them in turn. Each has a durable consumer. */
export const JOB_LANES = 16;
export const jobLaneConsumer = (lane: number): string => `lane-${lane}`;
/** `*` and `<tenant>` stand for all of them. */
const jobLane = (tenant: string): string =>
  isName(tenant) ? String(hash32(tenant) % JOB_LANES) : tenant === "*" ? "*" : "<lane>";

/** Load facts by minute and by hour, the cost ledger, forecasts and plans, and leases. */
export const LOAD_MINUTE_STREAM = "mr_load_minute";
export const LOAD_HOUR_STREAM = "mr_load_hour";
export const LEDGER_STREAM = "mr_ledger";
export const FORECAST_BUCKET = "mr_forecast";
export const LEASE_BUCKET = "mr_leases";

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
    to: "ingress, scheduler, worker, forecaster, chaos-monkey, millrace command",
    content: "JSON, 10 a second",
    meaning: "alive; queue, wait and rate of each model with work",
  },
  {
    subject: subjects.workerHeartbeat("<worker>"),
    from: "worker",
    to: "ingress, scheduler, worker, forecaster, chaos-monkey, millrace command",
    content: "JSON, 10 a second",
    meaning: "alive; progress, device memory, models, batches held",
  },
  {
    subject: subjects.ingressHeartbeat("<ingress>"),
    from: "ingress",
    to: "scheduler",
    content: "JSON, once a second",
    meaning: "the zone that the ingress stands in, where it was told",
  },
  {
    subject: DISCONNECTS,
    from: "nats-server",
    to: "ingress, scheduler, worker, forecaster, millrace command",
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
    subject: subjects.job("<tenant>", "<model>"),
    from: "ingress, millrace command",
    to: "ingress",
    content: `JSON lines, stream \`${JOB_STREAM}\``,
    meaning:
      "the queue of durable jobs: a message is a chunk of a job's items. A tenant's are in one " +
      "of sixteen lanes, and runners take from them in turn; tenants of one lane are not told " +
      "apart, and a chunk of one item has as much of a turn as one of 64",
  },
  {
    subject: subjects.jobResult("<tenant>", "<job>", "<chunk>"),
    from: "ingress",
    to: "ingress",
    content: `JSON lines, stream \`${JOB_RESULT_STREAM}\``,
    meaning: "the results of one chunk; the first write stands",
  },
  {
    subject: subjects.jobDead("<tenant>", "<job>", "<chunk>"),
    from: "ingress",
    to: "millrace command",
    content: `JSON lines, stream \`${DEAD_STREAM}\``,
    meaning: "chunks that were given up, with their items; headers say why",
  },
  {
    subject: subjects.jobHook("<tenant>", "<job>"),
    from: "ingress, millrace command",
    to: "ingress",
    content: `JSON, stream \`${JOB_HOOK_STREAM}\``,
    meaning: "the queue of webhooks: one message for each end of a job that has one",
  },
  {
    subject: `$KV.${JOB_STATE_BUCKET}.<tenant>.<job>`,
    from: "ingress, millrace command",
    to: "ingress",
    content: "JSON",
    meaning: "a job's record: its state and its progress",
  },
  {
    subject: `$O.${JOB_OBJECT_BUCKET}.>`,
    from: "ingress",
    to: "ingress",
    content: "object store",
    meaning: "uploads that jobs refer to, and results that are larger than a message",
  },
  {
    subject: subjects.loadMinute("<model>"),
    from: "ingress, millrace command",
    to: "forecaster",
    content: `JSON, stream \`${LOAD_MINUTE_STREAM}\``,
    meaning:
      "load facts: what one ingress saw of a model, key, priority and kind of worker in a minute",
  },
  {
    subject: subjects.loadHour("<model>"),
    from: "forecaster",
    to: "forecaster, millrace command",
    content: `JSON, stream \`${LOAD_HOUR_STREAM}\``,
    meaning: "the same by the hour, kept longer",
  },
  {
    subject: subjects.ledger("<pool>"),
    from: "forecaster",
    to: "forecaster, millrace command",
    content: `JSON, stream \`${LEDGER_STREAM}\``,
    meaning: "the cost ledger: worker-seconds; what they were used for is in the load facts",
  },
  {
    subject: `$KV.${FORECAST_BUCKET}.<name>`,
    from: "forecaster",
    to: "millrace command",
    content: "JSON",
    meaning: "the forecast of a model, and the plan of the fleet",
  },
  {
    subject: `$KV.${LEASE_BUCKET}.forecaster`,
    from: "forecaster",
    to: "forecaster",
    content: "text with a time to live",
    meaning: "which forecaster acts; its revision is the epoch of what it writes",
  },
  {
    subject: subjects.event("budget"),
    from: "forecaster",
    to: "millrace command, nats command",
    content: "JSON",
    meaning: "the month's budget is spent, or is going to be",
  },
  {
    subject: subjects.fleet("<agent>"),
    from: "forecaster",
    to: "`millrace up`",
    content: "JSON, answered",
    meaning: "how many workers of each pool there should be; refused from a lower epoch",
  },
  {
    subject: CHAOS_COMMAND,
    from: "millrace command",
    to: "chaos-monkey",
    content: "JSON, answered",
    meaning: "plan, inject, heal and abort faults",
  },
  {
    subject: subjects.chaosHook("<role>", "<id>"),
    from: "chaos-monkey",
    to: "ingress, scheduler, worker, `millrace up`",
    content: "JSON, answered",
    meaning: "arms a fault inside the process; only where faults are enabled",
  },
  {
    subject: CHAOS_JOURNAL,
    from: "chaos-monkey",
    to: "millrace command",
    content: "JSON",
    meaning: "faults injected, ended, refused",
  },
  {
    subject: "$SRV.>",
    from: "nats command, millrace command",
    to: "every service",
    content: "JSON (ADR-32)",
    meaning: "`nats micro ls`, `info` and `stats`",
  },
];
