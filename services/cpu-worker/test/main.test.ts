/** The cpu-worker as a process: what it says of itself, and how it ends. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inboxPrefix, startBroker } from "@millrace/broker";
import { connectBus } from "@millrace/bus";
import {
  decodeJson,
  encodeJson,
  subjects,
  WORKER_HEARTBEATS,
  type WorkerHeartbeat,
  workerHeartbeatSchema,
} from "@millrace/protocol";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const silent = { debug() {}, info() {}, warn() {}, error() {} };

function start(env: Readonly<Record<string, string>>): ChildProcess {
  const stdio = ["ignore", "ignore", "pipe"] as const;
  return spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio: [...stdio] });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("it advertises its device, answers for its health, and drains on SIGTERM", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "millrace-cpu-worker-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const broker = stack.use(await startBroker({ directory }));
  const bus = stack.use(
    await connectBus({
      servers: [broker.url],
      name: "inspector-1",
      seed: broker.seed("inspector"),
      inboxPrefix: inboxPrefix("inspector"),
      log: silent,
    }),
  );
  const beats: WorkerHeartbeat[] = [];
  const heard = new Promise<WorkerHeartbeat>((resolve) => {
    bus.subscribe(WORKER_HEARTBEATS, (bytes) => {
      const beat = decodeJson(workerHeartbeatSchema, bytes);
      if (!beat.ok) throw new Error(beat.error.message);
      beats.push(beat.value);
      resolve(beat.value);
    });
  });
  const metricsPort = await freePort();
  const child = start({
    MILLRACE_ID: "cpu-worker-9",
    MILLRACE_NATS_URL: broker.url,
    MILLRACE_NATS_SEED_FILE: broker.seedFile("cpu-worker"),
    MILLRACE_METRICS_PORT: String(metricsPort),
    MILLRACE_CACHE_DIR: join(directory, "cache"),
  });
  const exited = once(child, "exit");
  stack.defer(() => void child.kill("SIGKILL"));
  const beat = await heard;
  expect(beat).toMatchObject({ id: "cpu-worker-9", role: "cpu-worker", state: "ready" });
  expect(beat.device).toMatchObject({ class: "cpu", memorySource: "budget" });
  const at = `http://127.0.0.1:${metricsPort}`;
  expect(await (await fetch(`${at}/health`)).json()).toMatchObject({ ok: true });
  expect(await (await fetch(`${at}/metrics`)).text()).toContain(
    'millrace_worker_device_memory_bytes{kind="total",role="cpu-worker",id="cpu-worker-9"}',
  );
  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  expect(beats.at(-1)?.state).toBe("draining");
});

test("it says what is wrong with its configuration, and exits with 78", async () => {
  const child = start({ MILLRACE_DEVICE_MEMORY: "plenty" });
  let said = "";
  child.stderr?.on("data", (data: Buffer) => (said += data.toString()));
  expect(await once(child, "exit")).toEqual([78, null]);
  expect(said).toContain('MILLRACE_DEVICE_MEMORY is "plenty": expected a size in bytes');
});

test("it ends, not to be started again, where a later process has its id", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "millrace-cpu-worker-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const broker = stack.use(await startBroker({ directory }));
  const bus = stack.use(
    await connectBus({
      servers: [broker.url],
      name: "cpu-worker-9",
      seed: broker.seed("cpu-worker"),
      inboxPrefix: inboxPrefix("cpu-worker"),
      log: silent,
    }),
  );
  const subject = subjects.workerHeartbeat("cpu-worker-9");
  const later = encodeJson({ incarnation: 1, startedMs: Date.now() + 60_000 });
  bus.subscribe(subject, (bytes) => {
    const beat = decodeJson(workerHeartbeatSchema, bytes);
    if (beat.ok && beat.value.beat === 3) bus.publish(subject, later);
  });
  const child = start({
    MILLRACE_ID: "cpu-worker-9",
    MILLRACE_NATS_URL: broker.url,
    MILLRACE_NATS_SEED_FILE: broker.seedFile("cpu-worker"),
    MILLRACE_METRICS_PORT: "0",
    MILLRACE_CACHE_DIR: join(directory, "cache"),
  });
  stack.defer(() => void child.kill("SIGKILL"));
  const [code] = (await once(child, "exit")) as [number | null];
  expect(code).toBe(78);
}, 20_000);
