/** Starts an ingress. */

import { readConfig, runService } from "@millrace/runtime";
import { fields } from "./config.ts";
import { runIngress } from "./run-ingress.ts";

await runService(async ({ signal }) =>
  runIngress({ config: readConfig(fields, process.env), signal }),
);
