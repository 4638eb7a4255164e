export { SchedulerCore, type SchedulerFigures } from "./core.ts";
export type { Refusal, SchedulerEffect, SchedulerEvent } from "./events.ts";
export { SCHEDULER_DEFAULTS, type SchedulerOptions } from "./options.ts";
