/** The keeper: it asks once, backs off from failures, forgets nothing, and believes no liar. */

import { describe, expect, test } from "vitest";
import {
  FakeHost,
  FleetKeeper,
  type FleetReport,
  fleetFault,
  type HeardWorker,
  InstanceFleet,
} from "../src/index.ts";
import { POOLS } from "./pools.ts";

const [BASE] = POOLS;

/** A keeper over a fake fleet whose members all speak, on a clock of its own. */
class Rig {
  readonly host = new FakeHost();
  readonly driver: InstanceFleet;
  readonly keeper: FleetKeeper;
  nowUs = 1_000_000;
  /** Members that run and say nothing. */
  readonly mute = new Set<string>();

  constructor() {
    const nowUs = (): number => this.nowUs;
    this.driver = new InstanceFleet({ host: this.host, pools: POOLS, nowUs });
    this.keeper = new FleetKeeper({ driver: this.driver, nowUs });
  }

  async tick(afterUs = 1_000_000): Promise<FleetReport> {
    this.nowUs += afterUs;
    return this.keeper.tick(await this.#heard());
  }

  async #heard(): Promise<readonly HeardWorker[]> {
    const { fault, lie } = this.host;
    this.host.fault = undefined;
    this.host.lie = undefined;
    const listed = await this.host.list();
    Object.assign(this.host, { fault, lie });
    if (!listed.ok) throw new Error("a fake lists");
    return listed.value
      .filter(({ id, state }) => state === "ready" && !this.mute.has(id))
      .map(({ id, kind, zone, lifecycle }) => ({
        id,
        kind,
        zone,
        lifecycle,
        heardAtUs: this.nowUs,
      }));
  }
}

const base = (report: FleetReport) => {
  const [pool] = report.pools;
  if (pool === undefined) throw new Error("there are pools");
  return pool;
};

describe("a fleet keeper", () => {
  test("leaves alone what nobody wants anything of", async () => {
    const rig = new Rig();
    await rig.driver.scale(BASE, 2);
    expect(base(await rig.tick())).toMatchObject({ state: "steady", wanted: undefined, ready: 2 });
    expect(rig.host.starts).toBe(2);
  });

  test("asks once, and is steady when they are ready", async () => {
    const rig = new Rig();
    rig.host.readyAtOnce = false;
    rig.keeper.want(BASE, 3);
    await rig.tick();
    for (let times = 0; times < 5; times++) {
      expect(base(await rig.tick())).toMatchObject({ state: "scaling", expected: 3, ready: 0 });
    }
    expect(rig.host.starts).toBe(3);
    const { members } = await rig.tick();
    for (const { id } of members) rig.host.become(id, "ready");
    expect(base(await rig.tick())).toMatchObject({ state: "steady", ready: 3, confirmed: 3 });
    expect(rig.host.starts).toBe(3);
  });

  test("keeps the last view while nothing is reached, and asks again ever later", async () => {
    const rig = new Rig();
    rig.keeper.want(BASE, 2);
    await rig.tick();
    await rig.tick();
    rig.host.cut();
    const cut = await rig.tick();
    expect(cut.members).toHaveLength(2);
    expect(cut.fault).toMatchObject({ code: "UNREACHABLE" });
    expect(base(cut)).toMatchObject({ state: "backing-off", expected: 2, ready: 2 });
    const retries = [base(cut).retryAtUs ?? 0];
    for (let times = 0; times < 60; times++) {
      const { retryAtUs } = base(await rig.tick());
      if (retryAtUs !== undefined && retryAtUs !== retries.at(-1)) retries.push(retryAtUs);
    }
    const pauses = retries.slice(1).map((at, before) => (at - (retries[before] ?? 0)) / 1e6);
    expect(pauses.slice(0, 4)).toEqual([2, 4, 8, 16]);
    rig.host.heal();
    const healed = await rig.tick(120_000_000);
    expect(healed.fault).toBeUndefined();
    expect(base(healed)).toMatchObject({ state: "steady", ready: 2 });
    expect(rig.host.starts).toBe(2);
  });

  test("says how old its view is", async () => {
    const rig = new Rig();
    expect((await rig.tick()).ageUs).toBe(0);
    rig.host.cut();
    await rig.tick();
    expect((await rig.tick(5_000_000)).ageUs).toBe(6_000_000);
  });

  test("tries rarely what no repetition cures", async () => {
    const rig = new Rig();
    await rig.tick();
    rig.host.start = async () => ({ ok: false, error: fleetFault("REFUSED", "over the quota") });
    rig.keeper.want(BASE, 1);
    const report = base(await rig.tick());
    expect(report).toMatchObject({ state: "backing-off", fault: { message: "over the quota" } });
    expect(report.retryAtUs).toBe(rig.nowUs + 120_000_000);
  });

  test("says of a driver that refuses when it did, and what it gave all the same", async () => {
    const rig = new Rig();
    const start = rig.host.start.bind(rig.host);
    rig.host.readyAtOnce = false;
    rig.host.start = async (id, pool) =>
      rig.host.starts < 2 ? start(id, pool) : { ok: false, error: fleetFault("REFUSED", "full") };
    rig.keeper.want(BASE, 5);
    const first = base(await rig.tick());
    expect(first).toMatchObject({ fault: { code: "REFUSED" }, failedAtUs: rig.nowUs, starting: 2 });
    expect(base(await rig.tick()).failedAtUs).toBe(first.failedAtUs);
    await rig.tick(120_000_000);
    expect(base(await rig.tick()).failedAtUs).toBeGreaterThan(first.failedAtUs ?? 0);
  });

  test("calls it no refusal that a member ended", async () => {
    const rig = new Rig();
    rig.keeper.want(BASE, 2);
    await rig.tick();
    const { members } = await rig.tick();
    rig.host.lose(members[0]?.id ?? "");
    expect(base(await rig.tick())).toMatchObject({ fault: { code: "ENDED", retry: true } });
    expect(rig.host.starts).toBe(3);
  });

  test("makes good members that end, with a longer pause each time", async () => {
    const rig = new Rig();
    rig.keeper.want(BASE, 1);
    await rig.tick();
    const startsAtS: number[] = [];
    for (let second = 0; second < 40; second++) {
      const before = rig.host.starts;
      const { members } = await rig.tick();
      if (rig.host.starts > before) startsAtS.push(second);
      for (const { id } of members) rig.host.become(id, "gone", "exit 1");
    }
    const pauses = startsAtS.slice(1).map((at, before) => at - (startsAtS[before] ?? 0));
    expect(pauses.length).toBeGreaterThan(2);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    expect(pauses.at(-1)).toBeGreaterThan(pauses[0] ?? 0);
  });

  test("replaces a member that is listed as ready and says nothing, once in a while", async () => {
    const rig = new Rig();
    rig.keeper.want(BASE, 3);
    const { members } = await rig.tick().then(() => rig.tick());
    const [liar] = members;
    if (liar === undefined) throw new Error("there are members");
    rig.mute.add(liar.id);
    const silent = await rig.tick(11_000_000);
    expect(silent.comparison.differences).toMatchObject([{ type: "silent", id: liar.id }]);
    const after = await rig.tick();
    expect(after.members.map(({ id }) => id)).not.toContain(liar.id);
    expect(rig.host.starts).toBe(4);
    expect(base(after)).toMatchObject({ expected: 3, ready: 3, confirmed: 3 });
  });

  test("believes no driver whose list is made up: it says so, and replaces nothing", async () => {
    const rig = new Rig();
    rig.keeper.want(BASE, 2);
    await rig.tick();
    await rig.tick();
    const made = ["x", "y", "z"].map((id) => ({ id, ...BASE, state: "ready" as const }));
    rig.host.lie = () => made;
    await rig.tick();
    const report = await rig.tick(61_000_000);
    expect(base(report)).toMatchObject({ state: "disputed", ready: 3, confirmed: 0 });
    expect(report.comparison.actions).toEqual([]);
    expect(report.comparison.differences.filter(({ type }) => type === "unlisted")).toHaveLength(2);
    expect(rig.host.starts).toBe(2);
  });
});
