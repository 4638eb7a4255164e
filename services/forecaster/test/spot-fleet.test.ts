/**
 * The elastic core and the keeper over a fake cloud, on virtual time: what happens where spot is
 * refused, does not come, ends, and is given again.
 */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { ElasticCore, type ElasticEvent } from "@millrace/elasticity";
import { FakeHost, type FleetMember, fleetFault, InstanceFleet, type Pool } from "@millrace/fleet";
import { FOLLOW_OPTIONS, PLAN_RULES, SPOT_RULES } from "@millrace/planning";
import { createMetrics } from "@millrace/runtime";
import { fail } from "@millrace/std";
import { describe, expect, test } from "vitest";
import { Figures } from "../src/figures.ts";
import { KeptFleet } from "../src/kept-fleet.ts";

const SECOND_US = 1_000_000;
const KIND = "gpu-l4";
const START_UP_US = 120 * SECOND_US;
const LOOK_US = FOLLOW_OPTIONS.intervalUs;
/** Rows a second of one worker: 10 rows in 10 ms. */
const RATE = 1_000;
/** Of load, which is ten workers'. */
const LOAD = 8.9 * RATE;
const log = { debug() {}, info() {}, warn() {}, error() {} };

type Spot = "given" | "refused" | "refused, to be tried again" | "never ready";

/** Workers take a start-up time; spot is as the test says. */
class CloudHost extends FakeHost {
  readonly bornAtUs = new Map<string, number>();
  spot: Spot = "given";
  /** Spot workers that there may be. */
  spotMax = Number.POSITIVE_INFINITY;
  refusals = 0;
  ends = 0;
  override readyAtOnce = false;

  readonly #nowUs: () => number;

  constructor(nowUs: () => number) {
    super();
    this.#nowUs = nowUs;
  }

  override async start(id: string, pool: Pool) {
    const isSpot = pool.lifecycle === "spot";
    const isFull = (await this.members()).filter(isSpotMember).length >= this.spotMax;
    if (isSpot && (this.spot.startsWith("refused") || isFull)) {
      this.refusals++;
      return fail(fleetFault("REFUSED", "no capacity", this.spot.endsWith("again")));
    }
    this.bornAtUs.set(id, this.#nowUs());
    return super.start(id, pool);
  }

  override async end(id: string) {
    this.ends++;
    return super.end(id);
  }

  async members(): Promise<readonly FleetMember[]> {
    const listed = await this.list();
    return listed.ok ? listed.value : [];
  }

  async age(): Promise<void> {
    for (const { id, lifecycle, state } of await this.members()) {
      if (state === "ready" || (lifecycle === "spot" && this.spot === "never ready")) continue;
      if (this.#nowUs() - (this.bornAtUs.get(id) ?? 0) >= START_UP_US) this.become(id, "ready");
    }
  }
}

const isSpotMember = ({ lifecycle }: FleetMember): boolean => lifecycle === "spot";

class Rig {
  nowUs = 1_000 * 300 * SECOND_US;
  readonly host = new CloudHost(() => this.nowUs);
  readonly #core = new ElasticCore({
    prices: DEFAULT_PRICE_BOOK,
    kinds: [KIND],
    rules: { ...PLAN_RULES, spot: SPOT_RULES },
    follow: { ...FOLLOW_OPTIONS, workersMin: 1 },
    quantile: "0.9",
    objectiveUs: 100_000,
    refitUs: 3_600 * SECOND_US,
    planUs: 300 * SECOND_US,
    settleUs: 0,
    silentUsMax: 2 * LOOK_US,
    refusedForUs: 120 * SECOND_US,
  });
  readonly #fleet: KeptFleet;
  /** The fewest that were ready at any look since it was set. */
  readyMin = Number.POSITIVE_INFINITY;

  constructor() {
    const nowUs = (): number => this.nowUs;
    const offered = DEFAULT_PRICE_BOOK.offers.filter(({ kind }) => kind === KIND);
    const pools = offered.map(({ kind, zone, lifecycle }) => ({ kind, zone, lifecycle }));
    this.#fleet = new KeptFleet({
      driver: new InstanceFleet({ host: this.host, pools, nowUs }),
      figures: new Figures(createMetrics({ role: "forecaster", id: "f" })),
      log,
      nowUs,
      post: (event) => this.#step(event),
    });
    this.#fleet.lead(1);
    this.#hear({ id: "w", kind: KIND, zone: "elsewhere", lifecycle: "on-demand" });
  }

  async run(seconds: number): Promise<void> {
    const endUs = this.nowUs + seconds * SECOND_US;
    while (this.nowUs < endUs) {
      this.nowUs += LOOK_US;
      await this.host.age();
      const ready = await this.ready();
      this.readyMin = Math.min(this.readyMin, ready.length);
      for (const member of ready) this.#hear(member);
      const loads = [{ ref: "digits@1", rowsPerSecond: LOAD, queuedRows: 0 }];
      this.#step({ type: "loadsHeard", scheduler: "s", loads });
      this.#step({ type: "woke" });
      await this.#fleet.keep(ready.map((member) => ({ ...member, heardAtUs: this.nowUs })));
    }
  }

  async ready(): Promise<readonly FleetMember[]> {
    return (await this.host.members()).filter(({ state }) => state === "ready");
  }

  /** Who is ready, by lifecycle. */
  async counts(): Promise<{ readonly onDemand: number; readonly spot: number }> {
    const ready = await this.ready();
    const spot = ready.filter(isSpotMember).length;
    return { onDemand: ready.length - spot, spot };
  }

  #hear({ id, kind, zone, lifecycle }: Pool & { readonly id: string }): void {
    const residents = [{ ref: "digits@1", bytes: 1e6, times: [{ rows: 10, us: 10_000 }] }];
    const pool = { kind, zone, lifecycle };
    this.#step({ type: "workerHeard", id, pool, ready: true, residents });
  }

  #step(event: ElasticEvent): void {
    for (const effect of this.#core.step(event, this.nowUs))
      if (effect.type === "want") this.#fleet.want(effect.pool, effect.count);
  }
}

describe("a fleet of spot workers", () => {
  test.each(["refused", "refused, to be tried again", "never ready"] as const)(
    "stands on demand as long as spot is %s, without starting any of that twice",
    async (spot) => {
      const rig = new Rig();
      rig.host.spot = spot;
      await rig.run(900);
      expect(await rig.counts()).toEqual({ onDemand: 10, spot: 0 });
      rig.readyMin = Number.POSITIVE_INFINITY;
      const { starts } = rig.host;
      await rig.run(1_200);
      expect(rig.readyMin).toBe(10);
      if (spot !== "never ready") {
        expect(rig.host.starts).toBe(starts);
        expect(rig.host.ends).toBe(0);
        // Asked every two minutes, and not at every look.
        expect(rig.host.refusals).toBeLessThan(60);
      }
    },
  );

  test("moves to spot when it is given again, and loses nobody's work for that", async () => {
    const rig = new Rig();
    rig.host.spot = "refused";
    await rig.run(300);
    expect(await rig.counts()).toEqual({ onDemand: 10, spot: 0 });
    rig.host.spot = "given";
    rig.readyMin = Number.POSITIVE_INFINITY;
    await rig.run(600);
    expect(await rig.counts()).toEqual({ onDemand: 1, spot: 10 });
    expect(rig.readyMin).toBe(10);
  });

  test("keeps what a pool gave of what was asked for, and buys the rest elsewhere", async () => {
    const rig = new Rig();
    rig.host.spotMax = 4;
    await rig.run(300);
    expect(await rig.counts()).toEqual({ onDemand: 6, spot: 4 });
    expect(rig.host.ends).toBe(0);
    await rig.run(900);
    expect(await rig.counts()).toEqual({ onDemand: 6, spot: 4 });
    expect(rig.host.ends).toBe(0);
  });

  test("starts one for one that ended, where it was", async () => {
    const rig = new Rig();
    await rig.run(300);
    const { starts } = rig.host;
    const [victim] = (await rig.ready()).filter(isSpotMember);
    rig.host.lose(victim?.id ?? "");
    await rig.run(300);
    expect(await rig.counts()).toEqual({ onDemand: 1, spot: 10 });
    expect(rig.host.starts).toBe(starts + 1);
    expect(rig.host.ends).toBe(0);
  });
});
