/** The life of a process: runs until told to end, drains within a deadline, says why it ended. */

import { flushCompileCache } from "node:module";
import { ConfigError } from "./config.ts";
import { createLogger, type Logger } from "./logger.ts";

/** What the exit code of a service says to its supervisor. */
export const EXIT_CODES = {
  drained: 0,
  /** A bug, or a drain past its deadline. */
  failed: 1,
  /** The device is unusable until the process is a new one. */
  poisoned: 70,
  /** Starting again will not help. */
  badConfig: 78,
} as const;

/** Ends a service whose device gives errors that only a new process cures. */
export class PoisonedDeviceError extends Error {
  override readonly name = "PoisonedDeviceError";
}

export interface ServiceContext {
  /** Aborted by SIGTERM and SIGINT: drain, then return. */
  readonly signal: AbortSignal;
  /** For what happens before the service knows its own id. */
  readonly log: Logger;
}

const DRAIN_TIMEOUT_MS = 30_000;
/** By then a service has compiled what it needs to serve. */
const COMPILED_MS = 10_000;

/** Runs a service and ends the process when it returns. */
export async function runService(
  main: (context: ServiceContext) => Promise<void>,
  options: { readonly drainTimeoutMs?: number } = {},
): Promise<never> {
  const log = createLogger({
    role: "process",
    id: process.env["MILLRACE_ID"] ?? "",
    level: "info",
  });
  const ending = new AbortController();
  const drainTimeoutMs = options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS;
  const end = (signal: string): void => {
    // A terminal signals the whole group and a supervisor once more: the second one says no more.
    if (ending.signal.aborted) return;
    log.info({ signal }, "draining");
    ending.abort();
    setTimeout(() => {
      log.error({ drainTimeoutMs }, "the drain did not end in time");
      process.exit(EXIT_CODES.failed);
    }, drainTimeoutMs).unref();
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  // Where it is kept at all (`NODE_COMPILE_CACHE`): otherwise it would be at the end of the process
  // alone, which the next one of its kind should not have to wait for.
  setTimeout(flushCompileCache, COMPILED_MS).unref();
  process.on("uncaughtExceptionMonitor", (err) => log.fatal({ err }, "a bug ends this process"));
  process.exit(await outcome(main({ signal: ending.signal, log }), ending.signal, log));
}

async function outcome(running: Promise<void>, ending: AbortSignal, log: Logger): Promise<number> {
  try {
    await running;
    return EXIT_CODES.drained;
  } catch (error) {
    // Told to end while it still waited for something: there is nothing to drain.
    if (ending.aborted && error instanceof Error && error.name === "AbortError") {
      return EXIT_CODES.drained;
    }
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      return EXIT_CODES.badConfig;
    }
    log.fatal({ err: error }, "the service ended with an error");
    if (error instanceof PoisonedDeviceError) return EXIT_CODES.poisoned;
    // By its name: another process has the id, and a new one would take it back from that.
    const misconfigured = error instanceof Error && error.name === "IdTakenError";
    return misconfigured ? EXIT_CODES.badConfig : EXIT_CODES.failed;
  }
}
