/** What the service's loop does on time and books: at its end, and under a clock that jumps. */

import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { ElasticCore } from "@millrace/elasticity";
import { createHistory, Documents, Lease, openLedger } from "@millrace/history";
import { FOLLOW_OPTIONS, PLAN_RULES } from "@millrace/planning";
import { encodeJson, type LedgerEntry, subjects } from "@millrace/protocol";
import { createMetrics } from "@millrace/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { beat } from "./beat.ts";
import { BrokerStand, silent } from "./broker-stand.ts";
import { ElasticService } from "../src/elastic-service.ts";
import { Figures } from "../src/figures.ts";

const SECOND_US = 1_000_000;
const HOUR_US = 3_600 * SECOND_US;

let stand: BrokerStand;

beforeEach(async () => {
  stand = await BrokerStand.start();
  await createHistory((await stand.connect("admin")).connection);
});

afterEach(async () => {
  await stand[Symbol.asyncDispose]();
});

const BEAT = beat({ id: "w1", zone: "us-east-2a", lifecycle: "on-demand" });

/** A service with one worker, on a clock that runs as the machine's from noon on. */
async function rig(intervalUs: number) {
  const bus = await stand.connect("forecaster");
  const { connection } = bus;
  const documents = await Documents.open(connection);
  const holder = { name: "forecaster", holder: "f", log: silent };
  const lease = stand.open.use(await Lease.open(connection, holder));
  const beganUs = performance.now() * 1_000;
  const clock = { scale: 1, noonUs: 1_000 * 24 * HOUR_US + 12 * HOUR_US, nowUs: () => 0 };
  clock.nowUs = () => Math.floor(clock.noonUs + performance.now() * 1_000 - beganUs);
  const core = new ElasticCore({
    prices: DEFAULT_PRICE_BOOK,
    kinds: ["gpu-l4"],
    rules: PLAN_RULES,
    follow: { ...FOLLOW_OPTIONS, intervalUs, advisory: true },
    quantile: "0.75",
    objectiveUs: 200_000,
    refitUs: HOUR_US,
    planUs: 300 * SECOND_US,
    settleUs: 0,
    silentUsMax: 2 * SECOND_US,
    refusedForUs: SECOND_US,
  });
  const service = new ElasticService({
    bus,
    core,
    clock,
    lease,
    documents,
    driver: undefined,
    events: [],
    defers: false,
    prophet: undefined,
    budget: undefined,
    figures: new Figures(createMetrics({ role: "forecaster", id: "f" })),
    log: silent,
  });
  const worker = await stand.connect("gpu-worker");
  const beats = setInterval(
    () => worker.publish(subjects.workerHeartbeat("w1"), encodeJson(BEAT)),
    100,
  );
  stand.open.defer(() => clearInterval(beats));
  const running = service.run();
  const end = async (): Promise<LedgerEntry[]> => {
    await service[Symbol.asyncDispose]();
    await running;
    const read = await openLedger(connection).read();
    return read.ok ? read.value : [];
  };
  return { clock, core, end };
}

test("what was begun of a minute is booked when the service ends", async () => {
  const { end } = await rig(200_000);
  await sleep(2_000);
  const entries = await end();
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({ kind: "gpu-l4", zone: "us-east-2a" });
  expect(entries[0]?.workerUs).toBeGreaterThan(SECOND_US);
  expect(entries[0]?.workerUs).toBeLessThan(3 * SECOND_US);
});

test("a clock that is set back by an hour delays no look, and its time is booked", async () => {
  const { clock, core, end } = await rig(200_000);
  await sleep(1_500);
  clock.noonUs -= HOUR_US;
  await sleep(1_500);
  expect(core.wakeAtUs - clock.nowUs()).toBeLessThanOrEqual(SECOND_US);
  const entries = await end();
  expect(entries.map(({ atUs }) => (atUs / HOUR_US) % 24)).toEqual([12, 11]);
  for (const { workerUs } of entries) expect(workerUs).toBeGreaterThan(SECOND_US / 2);
});
