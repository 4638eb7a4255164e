/**
 * Ends the children of a supervisor that was killed too hard to end them itself.
 *
 * One small shell per supervising process reads the ids of its children from a pipe. However that
 * process dies, kill -9 included, the kernel closes the pipe; the shell then sends SIGTERM to every
 * process group that is still listed, and SIGKILL to what is left after the grace. It needs nothing
 * from the child, so it serves nats-server and Node alike. Rejected: a channel that each child
 * watches (nats-server cannot), and ids in a file that the next start reaps (there may be none, and
 * ids are reused).
 */

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

const GRACE_TENTHS = 50;

/** Lines `+ pid` and `- pid`; each child leads a process group of its own. */
const SCRIPT = `
trap '' INT TERM HUP QUIT
pids=''
while read -r operation pid; do
  rest=''
  for each in $pids; do [ "$each" = "$pid" ] || rest="$rest $each"; done
  pids=$rest
  [ "$operation" = '+' ] && pids="$pids $pid"
done
for each in $pids; do kill -TERM "-$each" 2>/dev/null; done
tenths=0
while [ "$tenths" -lt ${GRACE_TENTHS} ]; do
  rest=''
  for each in $pids; do kill -0 "-$each" 2>/dev/null && rest="$rest $each"; done
  pids=$rest
  [ -z "$pids" ] && exit 0
  sleep 0.1
  tenths=$((tenths + 1))
done
for each in $pids; do kill -KILL "-$each" 2>/dev/null; done
`;

const guarded = new Set<number>();
let guard: ChildProcess | undefined;

/** From here on the process group led by `pid` ends with this process. */
export function guardProcess(pid: number): void {
  guarded.add(pid);
  if (guard === undefined) startGuard();
  else write(`+ ${pid}\n`);
}

/** The process is gone, or is somebody else's to end. */
export function releaseProcess(pid: number): void {
  if (guarded.delete(pid)) write(`- ${pid}\n`);
}

function startGuard(): void {
  // Detached: a terminal's Ctrl-C reaches the whole foreground group, and must not reach the guard.
  const started = spawn("/bin/sh", ["-c", SCRIPT], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const forget = (): void => {
    if (guard === started) guard = undefined;
  };
  started.on("error", forget);
  started.on("exit", forget);
  // A guard that was killed breaks the pipe; the next child starts a new one with the whole list.
  started.stdin.on("error", forget);
  started.unref();
  (started.stdin as Socket).unref();
  guard = started;
  for (const pid of guarded) write(`+ ${pid}\n`);
}

function write(line: string): void {
  guard?.stdin?.write(line);
}
