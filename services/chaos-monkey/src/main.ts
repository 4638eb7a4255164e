/** Starts a chaos-monkey; ending it heals every fault that is under way. */

import { readConfig, runService } from "@millrace/runtime";
import { fields } from "./config.ts";
import { runChaosMonkey } from "./run-chaos-monkey.ts";

await runService(async ({ signal }) => runChaosMonkey(readConfig(fields, process.env), signal));
