/** Processes by id and start, so that an id that is somebody else's by now is never touched. */

import { readFileSync } from "node:fs";

export interface ProcessMark {
  readonly pid: number;
  /** When it began, in the kernel's ticks since the boot: with the id, one process for ever. */
  readonly startTicks: number;
}

/** Undefined where there is no such process, it is a zombie, or the machine has no /proc. */
export function markOf(pid: number): ProcessMark | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, in brackets, may hold anything; state is the first field after it.
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
    const startTicks = Number(fields[19]);
    const state = fields[0];
    if (state === "Z" || state === "X" || !Number.isSafeInteger(startTicks)) return undefined;
    return { pid, startTicks };
  } catch {
    return undefined;
  }
}

const PAGE_BYTES = 4096;

/** Memory that the process holds now; undefined where that cannot be read here. */
export function residentBytesOf(pid: number): number | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
    return Number.isSafeInteger(pages) && pages > 0 ? pages * PAGE_BYTES : undefined;
  } catch {
    return undefined;
  }
}

export const isAlive = ({ pid, startTicks }: ProcessMark): boolean =>
  markOf(pid)?.startTicks === startTicks;

/** False, and nothing was sent, where the process is gone. */
export function signalProcess(mark: ProcessMark, signal: NodeJS.Signals): boolean {
  if (!isAlive(mark)) return false;
  try {
    return process.kill(mark.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
