/**
 * Measures the scheduling core in a process of its own: it would hold up everybody else's thread.
 */

import { measureScheduling, type SchedulingOptions } from "./scheduling.ts";

process.on("message", (options: SchedulingOptions) => {
  process.send?.(measureScheduling(options));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });
