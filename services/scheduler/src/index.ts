export { fields, type SchedulerConfig } from "./config.ts";
