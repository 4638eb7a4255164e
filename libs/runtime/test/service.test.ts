/** Whole processes: signals, exit codes, and logs that outlive them. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EXIT_CODES } from "../src/index.ts";

const index = fileURLToPath(new URL("../src/index.ts", import.meta.url));

interface Ended {
  readonly code: number;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly stderr: string;
}

/** Runs `body` as a service; sends `signals` once it has printed a line. */
async function run(body: string, signals: readonly NodeJS.Signals[] = []): Promise<Ended> {
  const script = `
    import * as runtime from ${JSON.stringify(index)};
    import { setTimeout as sleep } from "node:timers/promises";
    const { runService, createLogger } = runtime;
    ${body}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const closed = once(child, "close");
  let stdout = "";
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += chunk));
  child.stdout.on("data", (chunk) => (stdout += chunk));
  if (signals.length > 0) await once(child.stdout, "data");
  for (const signal of signals) {
    child.kill(signal);
    await sleep(20);
  }
  const [code] = await closed;
  const lines = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code: code as number, lines, stderr };
}

test("a service that returns ends with 0, and its last line is written", async () => {
  const { code, lines } = await run(`await runService(async () => {
    createLogger({ role: "ingress", id: "ingress-1", level: "info" }).info({ n: 1 }, "bye");
  })`);
  expect(code).toBe(EXIT_CODES.drained);
  expect(lines).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      role: "ingress",
      id: "ingress-1",
      pid: expect.any(Number),
      n: 1,
      msg: "bye",
    },
  ]);
});

test("SIGTERM and SIGINT let it drain, a second signal changes nothing", async () => {
  const { code, lines } = await run(
    `await runService(async ({ signal, log }) => {
      log.info({}, "up");
      const work = setInterval(() => {}, 1000);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await sleep(150);
      log.info({}, "drained");
      void work;
    })`,
    ["SIGTERM", "SIGINT", "SIGTERM"],
  );
  expect(code).toBe(0);
  expect(lines.map(({ msg }) => msg)).toEqual(["up", "draining", "drained"]);
});

test("a drain that does not end is ended", async () => {
  const { code, lines } = await run(
    `await runService(async ({ log }) => {
      log.info({}, "up");
      await sleep(60_000);
    }, { drainTimeoutMs: 100 })`,
    ["SIGTERM"],
  );
  expect(code).toBe(EXIT_CODES.failed);
  expect(lines.at(-1)).toMatchObject({ level: "error", msg: "the drain did not end in time" });
});

test("a signal while it still waits for something ends it at once, with 0", async () => {
  const { code } = await run(
    `await runService(async ({ signal, log }) => {
      log.info({}, "up");
      await sleep(60_000, undefined, { signal });
    })`,
    ["SIGTERM"],
  );
  expect(code).toBe(0);
});

test("a bad configuration ends it with 78 and the message on stderr", async () => {
  const { code, lines, stderr } = await run(`await runService(async () => {
    runtime.readConfig(runtime.commonFields("ingress"), { MILLRACE_METRICS_PORT: "x" });
  })`);
  expect([code, lines]).toEqual([78, []]);
  expect(stderr).toBe('MILLRACE_METRICS_PORT is "x": expected a whole number from 0 to 65535\n');
});

test("a poisoned device ends it with 70", async () => {
  const { code, lines } = await run(`await runService(async () => {
    throw new runtime.PoisonedDeviceError("CUDA error 700");
  })`);
  expect(code).toBe(70);
  expect(lines.at(-1)).toMatchObject({ level: "fatal", err: { message: "CUDA error 700" } });
});

test("a bug ends it with 1 and a line in the log", async () => {
  const { code, lines } = await run(`await runService(async ({ signal }) => {
    setTimeout(() => { throw new Error("a defect"); }, 1);
    await sleep(60_000, undefined, { signal });
  })`);
  expect(code).toBe(EXIT_CODES.failed);
  expect(lines.at(-1)).toMatchObject({ level: "fatal", err: { message: "a defect" } });
});

test("a reader that stalls neither stops the service nor grows its memory", async () => {
  const script = `
    import { createLogger } from ${JSON.stringify(index)};
    const log = createLogger({ role: "a", id: "a", level: "info" });
    const text = "x".repeat(1000);
    for (let at = 0; at < 5000; at++) log.info({ at }, text);
    process.stderr.write("through");
    setTimeout(() => log.info({}, "last"), 500);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const [said] = await once(child.stderr, "data");
  expect(String(said)).toBe("through");
  let stdout = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  await once(child, "close");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.length).toBeLessThan(3000);
  const dropped = lines.map((line) => JSON.parse(line)).find(({ lines: n }) => n !== undefined);
  expect(dropped).toMatchObject({ level: "warn" });
  expect(dropped.lines + lines.length).toBeGreaterThanOrEqual(5000);
});
