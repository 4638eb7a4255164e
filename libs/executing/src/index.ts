export { WorkerCore } from "./core.ts";
export type {
  ItemOutput,
  Loaded,
  NotLoaded,
  RunItem,
  RunResult,
  Want,
  WorkerEffect,
  WorkerEvent,
} from "./events.ts";
export { WORKER_LIMITS, type WorkerLimits, type WorkerOptions } from "./options.ts";
