/** Logs: JSON lines on standard output, each with the role and id of its process. */

import { type Logger, pino } from "pino";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type { Logger };

/** Lines that wait for a slow reader. More are dropped, and their number is logged. */
const WAITING_BYTES_MAX = 1024 * 1024;

/** One for all loggers of the process, so that their lines do not mix. */
let output: ReturnType<typeof pino.destination> | undefined;

export function createLogger(options: {
  readonly role: string;
  readonly id: string;
  readonly level: LogLevel;
}): Logger {
  const isFirst = output === undefined;
  // Not synchronous: a stalled pipe must not stall the service. What waits is written at exit.
  output ??= pino.destination({ dest: 1, sync: false, maxLength: WAITING_BYTES_MAX });
  const log = pino(
    {
      level: options.level,
      base: { role: options.role, id: options.id, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
  if (isFirst) reportDrops(output, log);
  return log;
}

/** I6: dropping lines is an outcome with a name. */
function reportDrops(from: NonNullable<typeof output>, log: Logger): void {
  let dropped = 0;
  from.on("drop", () => dropped++);
  from.on("drain", () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    log.warn({ lines }, "log lines were dropped: nobody read them in time");
  });
}
