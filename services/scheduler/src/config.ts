/** What a scheduler is told. */

import {
  commonFields,
  type ConfigValues,
  defineConfig,
  flagField,
  wholeField,
} from "@millrace/runtime";

export const fields = defineConfig({
  ...commonFields("scheduler"),
  queueTicketsMax: wholeField("MILLRACE_QUEUE_MAX", {
    min: 1,
    max: 1_000_000,
    default: 8_192,
    help: "requests that may wait for one model; more are refused as QUEUE_FULL",
  }),
  waitForWorkers: flagField("MILLRACE_WAIT_FOR_WORKERS", {
    default: false,
    help: "requests wait for a first worker until their deadlines, where a fleet starts one for them",
  }),
  parkAfterSeconds: wholeField("MILLRACE_PARK_AFTER_S", {
    min: 0,
    max: 604_800,
    default: 0,
    help: "a model that nobody asked for so long leaves its devices until it is; 0 keeps it there",
  }),
  drainMs: wholeField("MILLRACE_DRAIN_MS", {
    min: 0,
    max: 25_000,
    default: 10_000,
    help: "how long a drain waits for batches that are out",
  }),
});

export type SchedulerConfig = ConfigValues<typeof fields>;
