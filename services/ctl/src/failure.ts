/** How a command ends badly: what is wrong, what to do about it, and the exit code. */

import { ERRORS, FaultError, type ErrorCode, type Fault } from "@millrace/protocol";
import type { Result } from "@millrace/std";

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** The problem in words for people, and the remedy. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly remedy: string;
  readonly exitCode: number;

  constructor(problem: string, remedy: string, exitCode = EXIT_FAILED) {
    super(problem);
    this.remedy = remedy;
    this.exitCode = exitCode;
  }
}

export const usageError = (problem: string, remedy: string): CommandError =>
  new CommandError(problem, remedy, EXIT_USAGE);

/** What helps against a fault of the cluster, where something generally does. */
const REMEDIES: Partial<Readonly<Record<ErrorCode, string>>> = {
  UNAUTHENTICATED:
    "give a key in MILLRACE_API_KEY or MILLRACE_API_KEY_FILE; `millrace key create` makes one",
  FORBIDDEN: "use a key or a NATS user with this right",
  MODEL_NOT_FOUND: "see `millrace model list`",
  VERSION_NOT_FOUND: "see `millrace model show NAME`",
  NOT_LOADED: "load it with `millrace model load NAME`, or wait until a worker has it ready",
  INPUT_QUARANTINED: "do not send this input again; see the workers' logs for what ended them",
  NO_SCHEDULER: "start a scheduler, or see `millrace status`",
  NO_DEVICE: "start a worker with enough memory, or see `millrace status`",
  DISCONNECTED: "start NATS with JetStream, or the cluster: `npm run up`",
  MODEL_CORRUPT: "export the model again; its file is damaged or not ONNX",
  MODEL_UNSUPPORTED: "export it with operators of onnxruntime and without external data",
  PROVENANCE_MISSING: "give --source, --upstream-name and --licence",
  REGISTRY_CONFLICT: "run the command again",
  JOB_NOT_FOUND: "see `millrace job list`; what has ended is kept for a day unless configured",
  JOB_NOT_ENDED: "wait for it with `millrace job status ID --wait`, or give --partial",
  JOBS_FULL: "try again when some of the queued jobs have ended; see `millrace job list`",
  STORAGE_FULL: "see the disk of NATS and its log, and try again",
  QUEUE_FULL: "try again later, or add workers",
  OVERLOADED: "try again later, or add ingresses",
  DEADLINE_UNREACHABLE: "allow more time with --timeout, or add workers",
  DEADLINE_EXCEEDED: "allow more time with --timeout, or see `millrace status`",
};

export function faultError(problem: Fault): CommandError {
  const remedy =
    REMEDIES[problem.code] ??
    (ERRORS[problem.code].status === 400
      ? "correct it; `millrace model show NAME` says what a model takes"
      : "see `millrace status` and the services' logs");
  return new CommandError(`${problem.message} (${problem.code})`, remedy);
}

/** @throws CommandError in place of a fault. */
export function valueOf<T>(result: Result<T, Fault>): T {
  if (!result.ok) throw faultError(result.error);
  return result.value;
}

/** The lines for standard error. A defect shows its stack: that is what is needed of it. */
export function describeFailure(error: unknown): { lines: string; exitCode: number } {
  const known = error instanceof FaultError ? faultError(error.fault) : error;
  if (known instanceof CommandError) {
    return { lines: `error: ${known.message}\n${known.remedy}`, exitCode: known.exitCode };
  }
  const { code, message, stack } = known as NodeJS.ErrnoException;
  // The file system's own words name the file and what is wrong with it.
  if (code !== undefined && /^E[A-Z]+$/.test(code)) {
    return { lines: `error: ${message}`, exitCode: EXIT_FAILED };
  }
  return { lines: `error: ${stack ?? String(known)}`, exitCode: EXIT_FAILED };
}
