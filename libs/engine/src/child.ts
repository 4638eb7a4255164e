/**
 * Runs `examine.ts` in a process of its own with a limit on its time and memory, so that no file
 * and no driver can hang, fill or crash the process that asks.
 */

import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Examination, ExamineRequest } from "./examine.ts";
import type { SessionDevice } from "./session.ts";

export interface ChildLimits {
  readonly timeoutMs: number;
  /** Resident memory of the process, which alone takes some 80 MB, and of the model in it. */
  readonly memoryBytesMax: number;
}

export type ChildOutcome =
  | { readonly kind: "examined"; readonly examination: Examination }
  | { readonly kind: "timedOut" }
  | { readonly kind: "outgrew"; readonly bytes: number }
  | { readonly kind: "died"; readonly how: string };

const ENTRY = fileURLToPath(new URL("./examine.ts", import.meta.url));
const POLL_MS = 20;
const OUTPUT_CHARACTERS_MAX = 1024 * 1024;
const ERRORS_CHARACTERS_MAX = 2_000;

/** @param widen whether the file has BF16 inputs or outputs */
export function examineInChild(
  file: Uint8Array,
  device: SessionDevice,
  limits: ChildLimits,
  widen = false,
): Promise<ChildOutcome> {
  const { timeoutMs } = limits;
  const request: ExamineRequest = { device, bytes: file.length, timeoutMs, widen };
  // The warning of Node about running TypeScript is not this process's standard error.
  const child = spawn(process.execPath, ["--no-warnings", ENTRY, JSON.stringify(request)], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { promise, resolve } = Promise.withResolvers<ChildOutcome>();
  let verdict: ChildOutcome | undefined;
  const stop = (outcome: ChildOutcome): void => {
    verdict ??= outcome;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(() => stop({ kind: "timedOut" }), limits.timeoutMs);
  const poll = setInterval(() => {
    void residentBytes(child.pid).then((bytes) => {
      if (bytes > limits.memoryBytesMax) stop({ kind: "outgrew", bytes });
    });
  }, POLL_MS);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.length > OUTPUT_CHARACTERS_MAX) stop({ kind: "died", how: "answered too much" });
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-ERRORS_CHARACTERS_MAX);
  });
  child.on("error", (error) => {
    verdict ??= { kind: "died", how: error.message };
  });
  child.on("close", (code, signal) => {
    clearTimeout(timer);
    clearInterval(poll);
    resolve(verdict ?? read(output, signal ?? `exit code ${code}`, errors));
  });
  // A child that ended early leaves the rest of the file unread; its end is reported by `close`.
  child.stdin.on("error", () => {});
  child.stdin.end(file);
  return promise;
}

function read(output: string, ending: string, errors: string): ChildOutcome {
  try {
    return { kind: "examined", examination: JSON.parse(output) as Examination };
  } catch {
    const lastLine = errors.trim().split("\n").at(-1) ?? "";
    return { kind: "died", how: lastLine === "" ? ending : `${ending}: ${lastLine}` };
  }
}

const run = promisify(execFile);

/** 0 for a process that is gone. */
async function residentBytes(pid: number | undefined): Promise<number> {
  if (pid === undefined) return 0;
  try {
    if (process.platform === "linux") {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
    }
    return Number((await run("ps", ["-o", "rss=", "-p", String(pid)])).stdout) * 1024;
  } catch {
    return 0;
  }
}
