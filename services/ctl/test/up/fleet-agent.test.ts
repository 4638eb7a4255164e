/** The agent of `up`: it does what the latest holder of the lease says, and nobody else. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { FakeHost, InstanceFleet, type Pool } from "@millrace/fleet";
import {
  decodeJson,
  encodeJson,
  type FleetReply,
  fleetReplySchema,
  subjects,
} from "@millrace/protocol";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { serveFleet, UP_AGENT } from "../../src/up/elastic/fleet-agent.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const POOL: Pool = { kind: "gpu", zone: "east", lifecycle: "spot" };

let directory: string;
let broker: Broker;
let forecaster: Bus;
let agent: Bus;
let host: FakeHost;
let open: AsyncDisposableStack;

async function connect(user: User): Promise<Bus> {
  return connectBus({
    servers: [broker.url],
    name: `${user}-test`,
    seed: broker.seed(user),
    inboxPrefix: inboxPrefix(user),
    log: silent,
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-agent-"));
  broker = await startBroker({ directory });
});

afterAll(async () => {
  await open.disposeAsync();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  await open?.disposeAsync();
  open = new AsyncDisposableStack();
  forecaster = open.use(await connect("forecaster"));
  agent = open.use(await connect("admin"));
  host = new FakeHost();
  const nowUs = (): number => Math.floor(performance.now() * 1_000);
  serveFleet(agent, new InstanceFleet({ host, pools: [POOL], nowUs }));
  await agent.connection.flush();
});

async function ask(request: object): Promise<FleetReply> {
  const body = encodeJson({ v: 1, ...request });
  const reply = await forecaster.connection.request(subjects.fleet(UP_AGENT), body, {
    timeout: 2_000,
  });
  const decoded = decodeJson(fleetReplySchema, reply.data);
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}

const scale = (epoch: number, count: number): Promise<FleetReply> =>
  ask({ epoch, operation: "scale", pool: POOL, count, retire: [] });

test("a count is carried out, and listed with its members", async () => {
  expect(await scale(1, 2)).toEqual({ ok: true });
  const listed = await ask({ epoch: 1, operation: "list" });
  expect(listed).toMatchObject({ ok: true, view: { pools: [{ ...POOL, expected: 2, ready: 2 }] } });
  expect(listed.ok && listed.view?.members.map(({ state }) => state)).toEqual(["ready", "ready"]);
});

test("who held the lease before is refused, and changes nothing", async () => {
  await scale(3, 2);
  await scale(4, 1);
  expect(await scale(3, 9)).toMatchObject({ ok: false, error: { code: "REFUSED", retry: false } });
  expect(await ask({ epoch: 3, operation: "list" })).toMatchObject({ ok: false });
  const listed = await ask({ epoch: 4, operation: "list" });
  expect(listed).toMatchObject({ view: { pools: [{ expected: 1 }] } });
});

test("what the driver refuses is said with its code", async () => {
  const elsewhere = { ...POOL, zone: "west" };
  const asked = { epoch: 1, operation: "scale", pool: elsewhere, count: 1, retire: [] };
  expect(await ask(asked)).toMatchObject({ ok: false, error: { code: "NO_SUCH_POOL" } });
  expect(await ask({ epoch: 1, operation: "replace", id: "nobody" })).toMatchObject({
    ok: false,
    error: { code: "NO_SUCH_MEMBER" },
  });
  host.cut();
  expect(await ask({ epoch: 1, operation: "list" })).toMatchObject({
    ok: false,
    error: { code: "UNREACHABLE", retry: true },
  });
});

test("a request that is none is malformed, and moves no epoch", async () => {
  const wrong = await ask({ epoch: 99, operation: "scale", pool: POOL, count: -1, retire: [] });
  expect(wrong).toMatchObject({ ok: false, error: { code: "MALFORMED" } });
  expect(await scale(1, 1)).toEqual({ ok: true });
});
