/** Starts a cpu-worker. */

import { readConfig, runService } from "@millrace/runtime";
import { runWorker } from "@millrace/worker";
import { fields } from "./index.ts";

await runService(async ({ signal }) => {
  const config = readConfig(fields, process.env);
  await runWorker({ role: "cpu-worker", config, signal });
});
