/** Making the storage of a cluster whose JetStream does not answer at once. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { FaultError } from "@millrace/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openStorage } from "../src/index.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const TEST_MS = 20_000;

let directory: string;
let broker: Broker;
let bus: Bus;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-storage-"));
  broker = await startBroker({ directory });
  const seed = broker.seed("admin");
  bus = await connectBus({
    servers: [broker.url],
    name: "storage-test",
    seed,
    inboxPrefix: inboxPrefix("admin"),
    log: silent,
  });
});

afterEach(async () => {
  broker.kill("SIGCONT");
  await bus.drain();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

test(
  "waits aloud until JetStream answers",
  async () => {
    const said: string[] = [];
    broker.kill("SIGSTOP");
    const opening = openStorage(bus.connection, {
      serverCount: 1,
      report: (line) => {
        said.push(line);
        broker.kill("SIGCONT");
      },
    });
    const store = await opening;
    expect(await store.registry.list()).toEqual({ ok: true, value: [] });
    expect(said[0]).toMatch(/^waiting for JetStream, \d s: .*did not answer/);
  },
  TEST_MS,
);

test(
  "gives up with the reason when JetStream does not answer in time",
  async () => {
    broker.kill("SIGSTOP");
    const opening = openStorage(bus.connection, {
      serverCount: 1,
      report: () => undefined,
      waitMsMax: 100,
    });
    const error = await opening.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FaultError);
    expect((error as FaultError).fault.code).toBe("DISCONNECTED");
  },
  TEST_MS,
);

test("does not wait for what waiting will not bring", async () => {
  const said: string[] = [];
  const opening = openStorage(bus.connection, {
    serverCount: 3,
    report: (line) => said.push(line),
  });
  await expect(opening).rejects.toThrow(/replicas/);
  expect(said).toEqual([]);
});
