/** `millrace up` as a process of its own, and what it wrote. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT } from "./workspace.ts";

const WROTE_MS_MAX = 60_000;

export class Up {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = "";

  /** @param directory where it keeps everything. */
  constructor(directory: string, options: readonly string[] = []) {
    const args = ["services/ctl/bootstrap.mjs", "up", "--directory", directory, ...options];
    this.child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    }
    this.ended = once(this.child, "close").then(([code]) => code as number | null);
  }

  /** Waits for something that it writes. */
  async wrote(pattern: RegExp, msMax = WROTE_MS_MAX): Promise<RegExpExecArray> {
    const lastAtMs = performance.now() + msMax;
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found;
      if (this.child.exitCode !== null || performance.now() > lastAtMs) {
        throw new Error(`${pattern.source} never came:\n${this.output}`);
      }
      await sleep(50);
    }
  }
}
