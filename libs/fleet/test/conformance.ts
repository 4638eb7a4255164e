/**
 * What every fleet driver does, whatever it drives. A world brings a driver over three pools, and
 * the hands of whoever stands behind it: a member that dies, a connection that is cut.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { present } from "@millrace/std";
import { afterEach, describe, expect, test } from "vitest";
import type { DriverView, FleetDriver, FleetMember, FleetResult, Pool } from "../src/index.ts";
import { POOLS } from "./pools.ts";

const [BASE, SPOT, CPU] = POOLS;

export interface FleetWorld extends AsyncDisposable {
  readonly driver: FleetDriver;
  /** A new driver over what runs now, once the first is closed; absent where none outlives it. */
  readonly reopen?: () => Promise<FleetDriver>;
  /** Ends the member behind the driver's back. */
  lose(id: string): Promise<void>;
  /** The driver cannot reach what it drives; absent where there is nothing between them. */
  readonly cut?: () => Promise<void>;
  readonly heal?: () => Promise<void>;
}

export interface ConformanceOptions {
  readonly name: string;
  /** Called once a test, with its title. */
  readonly open: (title: string) => Promise<FleetWorld>;
  readonly waitMsMax?: number;
  /** Members of the largest test; fewer where a member is dear. */
  readonly members?: number;
  readonly pollMs?: number;
  /** Why the suite cannot run here. */
  readonly skipped?: string | undefined;
}

function valueOf<T>(result: FleetResult<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

const inPool = (view: DriverView, { kind, zone, lifecycle }: Pool): readonly FleetMember[] =>
  view.members.filter(
    (one) => one.kind === kind && one.zone === zone && one.lifecycle === lifecycle,
  );

const countOf = (view: DriverView, { kind, zone, lifecycle }: Pool) =>
  present(
    view.pools.find((one) => one.kind === kind && one.zone === zone && one.lifecycle === lifecycle),
    "a pool is listed",
  );

export function conformance(options: ConformanceOptions): void {
  const { name, open, waitMsMax = 15_000, members = 3, pollMs = 20, skipped } = options;
  const worlds: FleetWorld[] = [];

  afterEach(async () => {
    for (const world of worlds.splice(0)) await world[Symbol.asyncDispose]();
  });

  async function start(): Promise<FleetWorld> {
    const world = await open(expect.getState().currentTestName ?? name);
    worlds.push(world);
    return world;
  }

  async function until(
    driver: FleetDriver,
    condition: (view: DriverView) => boolean,
    what: string,
  ): Promise<DriverView> {
    const end = performance.now() + waitMsMax;
    for (;;) {
      const view = valueOf(await driver.list());
      if (condition(view)) return view;
      if (performance.now() > end) {
        throw new Error(`waited in vain until ${what}: ${JSON.stringify(view)}`);
      }
      await sleep(pollMs);
    }
  }

  /** Told, and so far that as many are ready and no others are left. */
  async function settle(driver: FleetDriver, pool: Pool, count: number): Promise<DriverView> {
    valueOf(await driver.scale(pool, count));
    return settled(driver, pool, count);
  }

  const settled = (driver: FleetDriver, pool: Pool, count: number): Promise<DriverView> =>
    until(
      driver,
      (view) => countOf(view, pool).ready === count && inPool(view, pool).length === count,
      `${pool.kind}/${pool.lifecycle} has ${count}`,
    );

  const note = skipped === undefined ? "" : ` (${skipped})`;
  describe.skipIf(skipped !== undefined)(`the ${name} driver${note}`, () => {
    test("begins with its pools, each with nobody in it", async () => {
      const { driver } = await start();
      const view = valueOf(await driver.list());
      expect(view.members).toEqual([]);
      expect(view.pools).toEqual(POOLS.map((pool) => ({ ...pool, expected: 0, ready: 0 })));
      expect(driver.pools).toEqual(POOLS);
    });

    test("brings a pool to its count, with members under ids of their own", async () => {
      const { driver } = await start();
      const view = await settle(driver, BASE, members);
      expect(countOf(view, BASE)).toEqual({ ...BASE, expected: members, ready: members });
      expect(new Set(view.members.map(({ id }) => id)).size).toBe(members);
      for (const member of view.members) expect(member).toMatchObject({ ...BASE, state: "ready" });
    });

    test("says at once what it expects, and asks for nothing twice", async () => {
      const { driver } = await start();
      await Promise.all([driver.scale(BASE, 2), driver.scale(BASE, 2)]);
      const early = valueOf(await driver.list());
      expect(countOf(early, BASE).expected).toBe(2);
      valueOf(await driver.scale(BASE, 2));
      const view = await settled(driver, BASE, 2);
      valueOf(await driver.scale(BASE, 2));
      const again = valueOf(await driver.list());
      const ids = (of: DriverView): string[] => of.members.map(({ id }) => id).toSorted();
      expect(ids(again)).toEqual(ids(view));
    });

    test("ends the members that are named first, and no others", async () => {
      const { driver } = await start();
      const before = inPool(await settle(driver, BASE, members), BASE);
      const [named] = before;
      valueOf(await driver.scale(BASE, members - 1, [present(named, "a member").id]));
      const after = inPool(await settled(driver, BASE, members - 1), BASE);
      const left = before.slice(1).map(({ id }) => id);
      expect(after.map(({ id }) => id).toSorted()).toEqual(left.toSorted());
    });

    test("keeps its pools apart, down to nobody", async () => {
      const { driver } = await start();
      await settle(driver, SPOT, 2);
      await settle(driver, CPU, 1);
      const view = await settle(driver, SPOT, 0);
      expect(countOf(view, SPOT)).toEqual({ ...SPOT, expected: 0, ready: 0 });
      expect(countOf(view, CPU)).toEqual({ ...CPU, expected: 1, ready: 1 });
      expect(countOf(view, BASE)).toEqual({ ...BASE, expected: 0, ready: 0 });
    });

    test("makes good a member that was lost when it is told the same count again", async () => {
      const world = await start();
      const { driver } = world;
      const before = inPool(await settle(driver, BASE, 2), BASE);
      const [lost, kept] = before.map(({ id }) => id);
      await world.lose(present(lost, "a member"));
      valueOf(await driver.list());
      valueOf(await driver.scale(BASE, 2));
      const view = await settled(driver, BASE, 2);
      expect(view.members.map(({ id }) => id)).toContain(kept);
      expect(countOf(view, BASE).expected).toBe(2);
    });

    test("replaces a member by another one, and keeps the count", async () => {
      const { driver } = await start();
      const before = inPool(await settle(driver, BASE, 2), BASE);
      const old = present(before[0], "a member").id;
      valueOf(await driver.replace(old));
      const view = await until(
        driver,
        (now) => inPool(now, BASE).every(({ id }) => id !== old) && countOf(now, BASE).ready === 2,
        "another one is ready",
      );
      expect(countOf(view, BASE)).toEqual({ ...BASE, expected: 2, ready: 2 });
    });

    test("refuses counts, pools and members that there are none of", async () => {
      const { driver } = await start();
      await settle(driver, BASE, 1);
      for (const count of [-1, 1.5, Number.NaN, 1e9]) {
        expect(await driver.scale(BASE, count)).toMatchObject({ error: { code: "BAD_COUNT" } });
      }
      const elsewhere = { ...BASE, zone: "north" };
      expect(await driver.scale(elsewhere, 1)).toMatchObject({ error: { code: "NO_SUCH_POOL" } });
      expect(await driver.replace("nobody")).toMatchObject({ error: { code: "NO_SUCH_MEMBER" } });
      const view = valueOf(await driver.list());
      expect(countOf(view, BASE)).toEqual({ ...BASE, expected: 1, ready: 1 });
    });

    test("fails every call once it is closed, and closes twice", async () => {
      const { driver } = await start();
      await driver.close();
      await driver.close();
      expect(await driver.list()).toMatchObject({ error: { code: "CLOSED", retry: false } });
      expect(await driver.scale(BASE, 1)).toMatchObject({ error: { code: "CLOSED" } });
      expect(await driver.replace("nobody")).toMatchObject({ error: { code: "CLOSED" } });
    });

    test("that is a new one finds what runs, and starts nothing again", async ({ skip }) => {
      const world = await start();
      if (world.reopen === undefined) return skip("its members end with it");
      const before = await settle(world.driver, BASE, 2);
      await world.driver.close();
      await using driver = await world.reopen();
      const view = valueOf(await driver.list());
      expect(countOf(view, BASE)).toEqual({ ...BASE, expected: 2, ready: 2 });
      valueOf(await driver.scale(BASE, 2));
      const after = valueOf(await driver.list());
      expect(after.members.map(({ id }) => id).toSorted()).toEqual(
        before.members.map(({ id }) => id).toSorted(),
      );
    });

    test("says when it reaches nothing, and loses nothing by it", async ({ skip }) => {
      const world = await start();
      const { driver, cut, heal } = world;
      if (cut === undefined || heal === undefined) return skip("nothing is in between");
      const before = await settle(driver, BASE, 2);
      await cut();
      expect(await driver.list()).toMatchObject({ ok: false, error: { retry: true } });
      expect(await driver.scale(BASE, 3)).toMatchObject({ ok: false, error: { retry: true } });
      await heal();
      const healed = valueOf(await driver.list());
      expect(healed.members.map(({ id }) => id).toSorted()).toEqual(
        before.members.map(({ id }) => id).toSorted(),
      );
      expect(countOf(await settle(driver, BASE, 3), BASE).expected).toBe(3);
    });
  });
}
