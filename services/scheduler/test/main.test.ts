/** The scheduler as a process: when it begins to say that it is there. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inboxPrefix, startBroker } from "@millrace/broker";
import { connectBus } from "@millrace/bus";
import {
  decodeJson,
  type Disconnect,
  DISCONNECTS,
  disconnectSchema,
  SCHEDULER_HEARTBEATS,
} from "@millrace/protocol";
import { expect, test, vi } from "vitest";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const silent = { debug() {}, info() {}, warn() {}, error() {} };

test("one that cannot listen ends before anybody has heard of it", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "millrace-scheduler-"));
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
  let beats = 0;
  let said: unknown;
  const heard = Promise.withResolvers<void>();
  bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
    beats++;
    said = JSON.parse(Buffer.from(bytes).toString());
    heard.resolve();
  });
  const ends: Disconnect[] = [];
  bus.subscribe(DISCONNECTS, (bytes) => {
    const event = decodeJson(disconnectSchema, bytes);
    if (event.ok && event.value.client.name === "scheduler-9") ends.push(event.value);
  });
  const run = async (metricsPort: number): Promise<number | null> => {
    const child = spawn(process.execPath, [main], {
      stdio: "ignore",
      env: {
        ...process.env,
        MILLRACE_ID: "scheduler-9",
        MILLRACE_NATS_URL: broker.url,
        MILLRACE_NATS_SEED_FILE: broker.seedFile("scheduler"),
        MILLRACE_METRICS_PORT: String(metricsPort),
      },
    });
    stack.defer(() => void child.kill("SIGKILL"));
    const exited = once(child, "exit");
    await Promise.race([exited, heard.promise]);
    child.kill("SIGTERM");
    return ((await exited) as [number | null])[0];
  };
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(() => void server.close());
  expect(await run((server.address() as AddressInfo).port)).toBe(1);
  await bus.connection.flush();
  expect(beats).toBe(0);
  // One that serves no metrics is heard, and ends when it is told to.
  expect(await run(0)).toBe(0);
  expect(beats).toBeGreaterThan(0);
  // The broker's event of its end names the connection that its heartbeats did.
  await vi.waitFor(() => expect(ends).toHaveLength(2), { timeout: 5_000 });
  const connection = { server: ends[1]?.server?.id, client: ends[1]?.client.id };
  expect(said).toMatchObject({ connection });
});

test("of two with one id the earlier ends, says why, and is not to be started again", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "millrace-scheduler-"));
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
  const seen = new Map<number, number>();
  bus.subscribe(SCHEDULER_HEARTBEATS, (bytes) => {
    const { incarnation } = JSON.parse(Buffer.from(bytes).toString()) as { incarnation: number };
    seen.set(incarnation, performance.now());
  });
  const start = () => {
    const child = spawn(process.execPath, [main], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        MILLRACE_ID: "scheduler-9",
        MILLRACE_NATS_URL: broker.url,
        MILLRACE_NATS_SEED_FILE: broker.seedFile("scheduler"),
        MILLRACE_METRICS_PORT: "0",
      },
    });
    stack.defer(() => void child.kill("SIGKILL"));
    return child;
  };
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((done) => setTimeout(done, 10));
  };
  const first = start();
  let said = "";
  first.stdout.on("data", (text: Buffer) => (said += text.toString()));
  await until(() => seen.size === 1);
  // Its steps take time, if only those of heartbeats, and `nats micro stats` says how much.
  const reply = await bus.connection.request("$SRV.STATS.scheduler");
  const stats = reply.json<{ endpoints: { processing_time: number }[] }>();
  expect(stats.endpoints[0]?.processing_time).toBeGreaterThan(0);
  const second = start();
  const [code] = (await once(first, "exit")) as [number | null];
  const endedMs = performance.now();
  expect(code).toBe(78);
  expect(said).toContain("another process has the id scheduler-9");
  // The other one goes on.
  await until(() => [...seen.values()].some((atMs) => atMs > endedMs + 500));
  expect(second.exitCode).toBeNull();
  expect(seen.size).toBe(2);
}, 20_000);
