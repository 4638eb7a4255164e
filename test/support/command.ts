/** The `millrace` command as its users run it: a process of its own, with a cluster's addresses. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Cluster } from "./cluster.ts";
import { ROOT } from "./workspace.ts";

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const MAIN = join(ROOT, "services", "ctl", "src", "main.ts");
const RUN_MS_MAX = 60_000;

/** @param input what the command reads from standard input. */
export async function millrace(
  cluster: Cluster,
  words: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...words], {
    env: { ...process.env, ...cluster.environment, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
  const closed = once(child, "close");
  child.stdin.on("error", () => undefined).end(options.input ?? "");
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code: child.exitCode, out, err };
}

/** @throws Error with what the command said, unless it succeeded. */
export async function succeed(cluster: Cluster, words: readonly string[]): Promise<string> {
  const { code, out, err } = await millrace(cluster, words);
  if (code !== 0) throw new Error(`millrace ${words.join(" ")}: exit ${code}\n${out}${err}`);
  return out;
}
