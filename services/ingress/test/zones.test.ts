/** Where an ingress stands: said once a second, and what crosses zones is counted. */

import {
  decodeJson,
  ingressHeartbeatSchema,
  INGRESS_HEARTBEATS,
  type WorkerHeartbeat,
} from "@millrace/protocol";
import { createHistory, openMinuteFacts } from "@millrace/history";
import { type Bus, connectBus } from "@millrace/bus";
import { inboxPrefix } from "@millrace/broker";
import { expect, test } from "vitest";
import { LoadRecorder } from "../src/load-recorder.ts";
import { announceZone, countStored, Zones } from "../src/zones.ts";
import { echo, row, Stand, until } from "./stand.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

type Beat = Pick<WorkerHeartbeat, "id" | "kind" | "zone">;

test("a worker's kind is the price book's, else its role, while it is there", () => {
  const zones = new Zones(undefined);
  zones.heard({ id: "gpu-worker-1", role: "gpu-worker", kind: "gpu-l4" });
  zones.heard({ id: "cpu-worker-1", role: "cpu-worker" });
  expect(["gpu-worker-1", "cpu-worker-1", "unheard"].map((id) => zones.kindOf(id))).toEqual([
    "gpu-l4",
    "cpu-worker",
    undefined,
  ]);
  zones.lost("gpu-worker-1");
  expect(zones.kindOf("gpu-worker-1")).toBeUndefined();
});

test("workers in other zones are elsewhere, until they move or leave", () => {
  const zones = new Zones("east");
  const heard = (beat: Beat): void => zones.heard({ role: "gpu-worker", ...beat });
  heard({ id: "far", zone: "west" });
  heard({ id: "near", zone: "east" });
  heard({ id: "unsaid", zone: undefined });
  expect(["far", "near", "unsaid", "unheard"].map((id) => zones.crosses(id))).toEqual([
    true,
    false,
    false,
    false,
  ]);
  heard({ id: "far", zone: "east" });
  expect(zones.crosses("far")).toBe(false);
  heard({ id: "far", zone: "west" });
  zones.lost("far");
  expect(zones.crosses("far")).toBe(false);
});

test("nothing is elsewhere for an ingress that was not told where it stands", () => {
  const zones = new Zones(undefined);
  const heard = (beat: Beat): void => zones.heard({ role: "gpu-worker", ...beat });
  heard({ id: "far", zone: "west" });
  expect(zones.crosses("far")).toBe(false);
  const said: string[] = [];
  const bus: Pick<Bus, "publish"> = { publish: (subject) => said.push(subject) > 0 };
  announceZone(bus, "ingress-1-ab", undefined)[Symbol.dispose]();
  expect(said).toEqual([]);
});

test("schedulers hear the zone, and facts have the bytes of requests across zones", async () => {
  let address = "";
  const stand = await Stand.start({ models: [echo], env: { MILLRACE_ZONE: "east" } });
  const admin = await connectBus({
    servers: [stand.broker.url],
    name: "admin-2",
    seed: stand.broker.seed("admin"),
    inboxPrefix: inboxPrefix("admin"),
    log: silent,
  });
  await createHistory(admin.connection);
  stand.scheduler.subscribe(INGRESS_HEARTBEATS, (bytes) => {
    const beat = decodeJson(ingressHeartbeatSchema, bytes);
    if (beat.ok) address = `${beat.value.zone} ${beat.value.id}`;
  });
  await until("the ingress's heartbeat", () => address.startsWith("east ingress-1-"));
  const ask = async (): Promise<void> => {
    stand.beat();
    // The beat is heard before the answer, which comes from the same connection.
    expect((await stand.infer("echo", row(1, 2, 3, 4))).status).toBe(200);
  };
  stand.zone = "east";
  await ask();
  stand.zone = "west";
  await ask();
  stand.stop();
  await stand.ended;
  const facts = await openMinuteFacts(admin.connection).read();
  if (!facts.ok) throw new Error(facts.error.message);
  const sum = (of: "served" | "inputBytes" | "outputBytes" | "crossingBytes"): number =>
    facts.value.reduce((total, fact) => total + fact[of], 0);
  expect(sum("served")).toBe(2);
  expect(new Set(facts.value.map(({ kind }) => kind))).toEqual(new Set(["gpu-worker"]));
  expect(sum("crossingBytes")).toBe((sum("inputBytes") + sum("outputBytes")) / 2);
  expect(sum("crossingBytes")).toBeGreaterThan(0);
  await admin.drain();
  await stand[Symbol.asyncDispose]();
});

test.each([
  ["east", "west", 7],
  ["east", "east", 0],
  [undefined, "west", 0],
  ["east", undefined, 0],
])("bytes of jobs cross from %s to a store in %s: %d", async (zone, storeZone, crossed) => {
  await using load = new LoadRecorder({
    source: "ingress-1",
    wallUs: () => 0,
    write: () => Promise.resolve(true),
  });
  countStored({ zone, storeZone }, load)({ tenant: "acme", model: "echo" }, 7);
  expect(load.amounts("echo", "acme", 2).crossingBytes).toBe(crossed);
});
