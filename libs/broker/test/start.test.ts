/** The embedded server: ready, supervised, and never two on one store. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Broker, startBroker } from "../src/index.ts";
import { openWire } from "./wire.ts";

let directory: string;
const running: Broker[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-start-"));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((broker) => broker.stop()));
  await rm(directory, { recursive: true, force: true });
});

async function start(options: Partial<Parameters<typeof startBroker>[0]> = {}): Promise<Broker> {
  const broker = await startBroker({ directory, ...options });
  running.push(broker);
  return broker;
}

describe("a broker", () => {
  test("takes connections once it is started, and none once it is stopped", async () => {
    const broker = await start();
    using wire = await openWire(broker.url, broker.seed("ingress"));
    await wire.flush();
    await broker.stop();
    await expect(openWire(broker.url, broker.seed("ingress"))).rejects.toThrow("ECONNREFUSED");
    expect(broker.pid).toBeUndefined();
  });

  test("is back at the same address within 0.3 s of kill -9, with the same keys", async () => {
    const broker = await start();
    const { pid } = broker;
    broker.kill("SIGKILL");
    const killedAtMs = performance.now();
    while (broker.restarts === 0) await sleep(2);
    await broker.ready();
    const gapMs = performance.now() - killedAtMs;
    expect(broker.pid).not.toBe(pid);
    using wire = await openWire(broker.url, broker.seed("ingress"));
    await wire.flush();
    // The bound is of the supervisor's delay and the server's start; a busy machine gets more.
    expect(gapMs).toBeLessThan(2_000);
  });

  test("can be restarted in good order", async () => {
    const broker = await start();
    await broker.restart();
    expect(broker.restarts).toBe(1);
    using wire = await openWire(broker.url, broker.seed("scheduler"));
    await wire.flush();
  });

  test("tells the services when one of them is gone", async () => {
    const broker = await start();
    using scheduler = await openWire(broker.url, broker.seed("scheduler"));
    await scheduler.refusedSubscriptions(["mr.sys.disconnect"]);
    const worker = await openWire(broker.url, broker.seed("gpu-worker"));
    worker[Symbol.dispose]();
    while (scheduler.received.length === 0) await sleep(5);
    expect(scheduler.received).toEqual(["mr.sys.disconnect"]);
  });

  test("keeps its keys when it is started again on its folder", async () => {
    const first = await start();
    const seed = first.seed("ingress");
    await first.stop();
    const second = await start();
    expect(second.seed("ingress")).toBe(seed);
    (await openWire(second.url, seed))[Symbol.dispose]();
  });
});

describe("a broker that cannot start says why", () => {
  test("when its port is taken by something else", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    await expect(start({ port })).rejects.toThrow("address already in use");
    taken.close();
  });

  test("when its port is taken by another broker", async () => {
    const other = await start({ directory: join(directory, "other") });
    const port = Number(new URL(other.url).port);
    await expect(start({ port })).rejects.toThrow("address already in use");
  });

  test("when the program is not there", async () => {
    await expect(start({ server: "/nowhere/nats-server" })).rejects.toThrow("unstartable");
  });

  test("when another one is running on its folder", async () => {
    await start();
    await expect(start({ predecessorMsMax: 50 })).rejects.toThrow(
      /a nats-server \(process \d+\) is running on/,
    );
  });
});
