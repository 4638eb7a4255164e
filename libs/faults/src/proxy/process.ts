/** The fault proxy as a process, which is told where its settings are. */

import { readFileSync } from "node:fs";
import { decodeJson } from "@millrace/protocol";
import { FaultProxy } from "./proxy.ts";
import { proxySettingsSchema } from "./settings.ts";

/** `EX_CONFIG`: starting again does not help. */
const EXIT_MISCONFIGURED = 78;

const { MILLRACE_FAULT_PROXY_SETTINGS: path = "" } = process.env;
const settings = decodeJson(proxySettingsSchema, readFileSync(path, "utf8"));
if (settings.ok) {
  const proxy = await FaultProxy.start(settings.value);
  const end = (): void => void proxy[Symbol.asyncDispose]().then(() => process.exit(0));
  process.on("SIGTERM", end).on("SIGINT", end);
} else {
  process.stderr.write(`${path}: ${settings.error.message}\n`);
  process.exitCode = EXIT_MISCONFIGURED;
}
