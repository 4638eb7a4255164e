/** Starts a gpu-worker; its supervisor starts it again when the device is poisoned (exit 70). */

import { readConfig, runService } from "@millrace/runtime";
import { runWorker } from "@millrace/worker";
import { fields } from "./index.ts";

await runService(async ({ signal }) => {
  const config = readConfig(fields, process.env);
  await runWorker({ role: "gpu-worker", config, signal });
});
