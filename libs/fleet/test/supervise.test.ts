/** A supervised process: its restarts, its end, and that it never outlives its supervisor. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import {
  type ChildEvent,
  supervise,
  type Supervised,
  type SuperviseOptions,
} from "../src/index.ts";

const started: Supervised[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.stop(0)));
});

const QUICK = { delayMsMin: 10, delayMsMax: 40, healthyAfterMs: 10_000 };

/** Runs a shell script under supervision. */
function run(script: string, options: Partial<SuperviseOptions> = {}): Supervised {
  const child = supervise({
    name: "child",
    command: "/bin/sh",
    args: ["-c", script],
    backoff: QUICK,
    ...options,
  });
  started.push(child);
  return child;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await sleep(5);
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("a supervised process", () => {
  test("runs with its output as lines, and ends when it is told to", async () => {
    const lines: string[] = [];
    const child = run("echo ready; echo problem >&2; exec sleep 60", {
      onLine: (line, stream) => lines.push(`${stream}: ${line}`),
    });
    await until(() => lines.length === 2, "both lines came");
    expect(lines.toSorted()).toEqual(["stderr: problem", "stdout: ready"]);
    const { pid } = child;
    await child.stop();
    expect(isAlive(pid as number)).toBe(false);
    expect(child.end).toEqual({ reason: "stopped", detail: "ended by SIGTERM" });
    expect(child.pid).toBeUndefined();
  });

  test("says its last words before stop resolves", async () => {
    const lines: string[] = [];
    const child = run(
      "trap 'echo drained; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
      {
        onLine: (line) => lines.push(line),
      },
    );
    await until(() => lines.length === 1, "it was ready");
    await child.stop();
    expect(lines).toEqual(["ready", "drained"]);
    expect(child.end).toEqual({ reason: "stopped", detail: "exit 0" });
  });

  test("comes back after kill -9 as another process", async () => {
    const child = run("exec sleep 60");
    const first = child.pid;
    expect(child.kill("SIGKILL")).toBe(true);
    await until(() => child.restarts === 1 && child.state === "running", "it came back");
    expect(child.pid).not.toBe(first);
  });

  test("is restarted with a growing delay while it keeps failing, whatever its exit", async () => {
    const events: ChildEvent[] = [];
    const child = run("exit 0", { onEvent: (event) => events.push(event) });
    await until(() => child.restarts >= 4, "it was restarted four times");
    await child.stop();
    const delays = events.flatMap((event) => (event.type === "failed" ? [event.restartInMs] : []));
    expect(delays.slice(0, 4)).toEqual([10, 20, 40, 40]);
  });

  test("that ran long enough is restarted with the short delay again", async () => {
    const events: ChildEvent[] = [];
    const child = run("sleep 0.03; exit 1", {
      backoff: { ...QUICK, healthyAfterMs: 20 },
      onEvent: (event) => events.push(event),
    });
    await until(() => child.restarts >= 3, "it was restarted three times");
    const delays = events.flatMap((event) => (event.type === "failed" ? [event.restartInMs] : []));
    expect(new Set(delays)).toEqual(new Set([10]));
  });

  test("that refuses its configuration is not restarted", async () => {
    const events: ChildEvent[] = [];
    const child = run("exit 78", { onEvent: (event) => events.push(event) });
    await until(() => child.state === "ended", "it ended");
    expect(child.end).toEqual({ reason: "misconfigured", detail: "exit 78" });
    expect(events.map((event) => event.type)).toEqual(["started", "ended"]);
  });

  test("whose command does not exist is not restarted, and nothing is thrown", async () => {
    const child = run("", { command: "/nowhere/at-all" });
    await until(() => child.state === "ended", "it ended");
    expect(child.end).toMatchObject({ reason: "unstartable" });
    expect(child.end?.detail).toContain("ENOENT");
  });

  test("that ignores SIGTERM is killed after the grace, with what it started itself", async () => {
    const lines: string[] = [];
    const child = run("trap '' TERM; sleep 60 & echo $!; while :; do sleep 0.05; done", {
      onLine: (line) => lines.push(line),
    });
    await until(() => lines.length === 1, "it named its own child");
    await child.stop(50);
    expect(child.end).toEqual({ reason: "stopped", detail: "ended by SIGKILL" });
    await until(() => !isAlive(Number(lines[0])), "its own child was gone");
  });

  test("can be stopped between two starts, and twice at once", async () => {
    const child = run("exit 1", { backoff: { ...QUICK, delayMsMin: 60_000, delayMsMax: 60_000 } });
    await until(() => child.state === "waiting", "it was waiting");
    expect(child.kill()).toBe(false);
    await Promise.all([child.stop(), child.stop()]);
    expect(child.state).toBe("ended");
  });
});

describe("a supervisor that is killed with kill -9", () => {
  test("leaves none of its children behind", async () => {
    const parent = spawn(
      process.execPath,
      [fileURLToPath(new URL("supervisor.ts", import.meta.url))],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
    const pids = chunk.toString().trim().split(" ").map(Number);
    expect(pids.map(isAlive)).toEqual([true, true]);
    parent.kill("SIGKILL");
    await until(() => !pids.some(isAlive), "both children were gone");
  });
});
