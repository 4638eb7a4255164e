/** A driver behind the lease: what is changed while it is held, and what when it is lost. */

import { FakeHost, FleetKeeper, InstanceFleet, type Pool } from "@millrace/fleet";
import { expect, test } from "vitest";
import { FencedFleet } from "../src/fenced-fleet.ts";

const POOLS: readonly Pool[] = ["east", "west"].map((zone) => ({
  kind: "gpu",
  zone,
  lifecycle: "on-demand",
}));

test("a lease that is lost in the middle of a turn ends the changes of that turn", async () => {
  const nowUs = (): number => 1_000_000;
  const fleet = new InstanceFleet({ host: new FakeHost(), pools: POOLS, nowUs });
  let changes = 0;
  // Held until the first change was made.
  await using driver = new FencedFleet(fleet, () => (changes++ === 0 ? 7 : undefined));
  const keeper = new FleetKeeper({ driver, nowUs });
  for (const pool of POOLS) keeper.want(pool, 2);
  const { pools } = await keeper.tick([]);
  expect(pools.map(({ expected, fault }) => [expected, fault?.message])).toEqual([
    [2, undefined],
    [0, "the lease is not held"],
  ]);
  const view = await driver.list();
  expect(view.ok && view.value.pools.map(({ expected }) => expected)).toEqual([2, 0]);
  expect((await driver.replace("gpu-east-1")).ok).toBe(false);
});
