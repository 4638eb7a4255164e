/** What a scheduler is told. */

import { commonFields, type ConfigValues, defineConfig, wholeField } from "@millrace/runtime";

export const fields = defineConfig({
  ...commonFields("scheduler"),
  queueTicketsMax: wholeField("MILLRACE_QUEUE_MAX", {
    min: 1,
    max: 1_000_000,
    default: 8_192,
    help: "requests that may wait for one model; more are refused as QUEUE_FULL",
  }),
  drainMs: wholeField("MILLRACE_DRAIN_MS", {
    min: 0,
    max: 25_000,
    default: 10_000,
    help: "how long a drain waits for batches that are out",
  }),
});

export type SchedulerConfig = ConfigValues<typeof fields>;
