/** One run of a command: bounded in time and in output, and nothing of it is left behind. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fail, ok } from "@millrace/std";
import { fleetFault, type FleetResult } from "./driver.ts";
import { guardProcess, releaseProcess } from "./guard.ts";

export interface CommandRun {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly timeoutMs: number;
}

export interface CommandOutput {
  readonly code: number | null;
  readonly stdout: string;
  /** The end of it, for messages. */
  readonly stderr: string;
}

/** More output than this is not an answer (I6). */
export const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;
const STDERR_CHARACTERS = 500;

/** Ends with a fault only where there is no answer; what an exit code means is the caller's. */
export async function runCommand(run: CommandRun): Promise<FleetResult<CommandOutput>> {
  const { command, args, env, input = "", timeoutMs } = run;
  const child = spawn(command, args, {
    // A group of its own, so that a run that hangs is ended with what it started.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    ...(env === undefined ? {} : { env }),
  });
  const { pid } = child;
  let cut: "time" | "output" | undefined;
  const end = (reason: typeof cut): void => {
    cut ??= reason;
    if (pid !== undefined) killGroup(pid);
  };
  const timer = setTimeout(end, timeoutMs, "time");
  const output: Buffer[] = [];
  let bytes = 0;
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OUTPUT_BYTES_MAX) end("output");
    else output.push(chunk);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARACTERS);
  });
  // A command that does not read its input is within its rights.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  if (pid !== undefined) guardProcess(pid);
  try {
    const [code] = (await once(child, "close")) as [number | null];
    if (cut === "time") {
      return fail(fleetFault("TIMED_OUT", `${command} did not end within ${timeoutMs} ms`));
    }
    if (cut === "output") {
      const said = `${command} wrote more than ${OUTPUT_BYTES_MAX} bytes`;
      return fail(fleetFault("MALFORMED", said));
    }
    return ok({ code, stdout: Buffer.concat(output).toString("utf8"), stderr: stderr.trim() });
  } catch (error) {
    return fail(fleetFault("REFUSED", `${command} cannot be run: ${(error as Error).message}`));
  } finally {
    clearTimeout(timer);
    if (pid !== undefined) releaseProcess(pid);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody of the group is left.
  }
}
