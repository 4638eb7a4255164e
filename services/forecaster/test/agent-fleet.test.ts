/** The driver that asks an agent: what it says, what it makes of answers, and when it is silent. */

import type { Bus } from "@millrace/bus";
import type { Pool } from "@millrace/fleet";
import {
  encodeJson,
  type FleetRequest,
  fleetRequestSchema,
  decodeJson,
  subjects,
} from "@millrace/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BrokerStand } from "./broker-stand.ts";
import { AgentFleet } from "../src/agent-fleet.ts";

const POOL: Pool = { kind: "gpu", zone: "east", lifecycle: "spot" };

let stand: BrokerStand;
let forecaster: Bus;
/** What the agent was asked, and what it answers. */
let asked: FleetRequest[] = [];
let answer: unknown;
let epoch: number | undefined;

beforeAll(async () => {
  stand = await BrokerStand.start();
  forecaster = await stand.connect("forecaster");
  const agent = await stand.connect("admin");
  agent.connection.subscribe(subjects.fleet("here"), {
    callback: (_, message) => {
      const request = decodeJson(fleetRequestSchema, message.data);
      if (request.ok) asked.push(request.value);
      message.respond(encodeJson(answer));
    },
  });
  await agent.connection.flush();
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

function fleet(agent = "here"): AgentFleet {
  asked = [];
  answer = { ok: true };
  epoch = 7;
  const { connection } = forecaster;
  return new AgentFleet({ connection, agent, pools: [POOL], epoch: () => epoch });
}

test("a count goes to the agent with the epoch of the lease", async () => {
  await using driver = fleet();
  expect(await driver.scale(POOL, 3, ["gpu-1"])).toEqual({ ok: true, value: undefined });
  expect(await driver.replace("gpu-2")).toEqual({ ok: true, value: undefined });
  expect(asked).toEqual([
    { v: 1, epoch: 7, operation: "scale", pool: POOL, count: 3, retire: ["gpu-1"] },
    { v: 1, epoch: 7, operation: "replace", id: "gpu-2" },
  ]);
});

test("nothing is asked without the lease, of another pool, or for no count", async () => {
  await using driver = fleet();
  expect(await driver.scale({ ...POOL, zone: "west" }, 1)).toMatchObject({
    error: { code: "NO_SUCH_POOL" },
  });
  expect(await driver.scale(POOL, -1)).toMatchObject({ error: { code: "BAD_COUNT" } });
  epoch = undefined;
  expect(await driver.list()).toMatchObject({ error: { code: "UNREACHABLE", retry: true } });
  expect(await driver.scale(POOL, 1)).toMatchObject({ error: { code: "UNREACHABLE" } });
  expect(asked).toEqual([]);
});

test("the agent's refusal is the driver's own", async () => {
  await using driver = fleet();
  const error = { code: "REFUSED", message: "epoch 7 is over: 8 has spoken", retry: false };
  answer = { ok: false, error };
  expect(await driver.scale(POOL, 1)).toEqual({ ok: false, error });
});

test("an answer that is none is malformed, and so is a list without one", async () => {
  await using driver = fleet();
  expect(await driver.list()).toMatchObject({ error: { code: "MALFORMED" } });
  answer = { ok: true, view: { members: [{ id: "gpu-1", state: "asleep" }], pools: [] } };
  expect(await driver.list()).toMatchObject({ error: { code: "MALFORMED" } });
});

test("an agent that is not there is unreachable, and may be later", async () => {
  await using driver = fleet("nowhere");
  expect(await driver.list()).toMatchObject({
    ok: false,
    error: { code: "UNREACHABLE", retry: true },
  });
});

test("a closed driver asks nothing", async () => {
  const driver = fleet();
  await driver.close();
  expect(await driver.list()).toMatchObject({ error: { code: "CLOSED" } });
  expect(asked).toEqual([]);
});
