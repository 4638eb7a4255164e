/** A Node process of the benchmark: started with the services' flags, spoken to, and ended. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { NODE_FLAGS } from "@millrace/fleet";

export interface Child {
  readonly pid: number;
  send(message: object): void;
  /** The next message; rejects when the process ends first or nothing comes in time. */
  message(timeoutMs?: number): Promise<unknown>;
  stop(): Promise<void>;
}

export function startChild(name: string, file: URL, args: readonly string[]): Child {
  const child: ChildProcess = fork(fileURLToPath(file), args, {
    execArgv: [...NODE_FLAGS],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  return {
    pid: child.pid ?? 0,
    send: (message) => child.send(message),
    async message(timeoutMs = 30_000) {
      const signal = AbortSignal.timeout(timeoutMs);
      const gone = exited.then(([code, by]) => {
        throw new Error(`${name} ended: ${code ?? by}`);
      });
      const [message] = (await Promise.race([once(child, "message", { signal }), gone])) as [
        unknown,
      ];
      return message;
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}
