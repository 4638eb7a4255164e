/** What is wanted belongs to one holding of the lease, and what a driver says is told on. */

import type { ElasticEvent } from "@millrace/elasticity";
import { FakeHost, InstanceFleet } from "@millrace/fleet";
import { createMetrics, nowUs } from "@millrace/runtime";
import { expect, test } from "vitest";
import { Figures } from "../src/figures.ts";
import { KeptFleet } from "../src/kept-fleet.ts";

const POOL = { kind: "gpu-l4", zone: "us-east-2a", lifecycle: "spot" } as const;
const log = { debug() {}, info() {}, warn() {}, error() {} };

function rig() {
  const host = new FakeHost();
  const driver = new InstanceFleet({ host, pools: [POOL], nowUs });
  const events: ElasticEvent[] = [];
  const figures = new Figures(createMetrics({ role: "forecaster", id: "f" }));
  const post = (event: ElasticEvent): void => void events.push(event);
  return { host, driver, events, fleet: new KeptFleet({ driver, figures, log, nowUs, post }) };
}

test("what was wanted before another held the lease is not asked for again", async () => {
  const { driver, events, fleet, host } = rig();
  fleet.lead(1);
  fleet.want(POOL, 2);
  await fleet.keep([]);
  expect(host.starts).toBe(2);
  await driver.scale(POOL, 5);
  fleet.lead(1);
  expect(events).toEqual([{ type: "leaseTaken" }]);
  fleet.lead(3);
  await fleet.keep([]);
  expect(events).toEqual([{ type: "leaseTaken" }, { type: "leaseTaken" }]);
  const view = await driver.list();
  expect(view.ok && view.value.pools).toMatchObject([{ expected: 5, ready: 5 }]);
});
