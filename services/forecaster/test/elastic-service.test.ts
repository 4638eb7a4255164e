/** The service on a real broker, with a member of the ensemble that gives what is no forecast. */

import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { ElasticCore } from "@millrace/elasticity";
import { createHistory, Documents, Lease, openMinuteFacts } from "@millrace/history";
import { FOLLOW_OPTIONS, PLAN_RULES } from "@millrace/planning";
import { checkValue, forecastSchema, type LoadFact } from "@millrace/protocol";
import { createMetrics, REAL_CLOCK } from "@millrace/runtime";
import { assert, ok, present } from "@millrace/std";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BrokerStand, silent } from "./broker-stand.ts";
import { ElasticService } from "../src/elastic-service.ts";
import { Figures } from "../src/figures.ts";
import { ProphetDays } from "../src/prophet-days.ts";

const HOUR_US = 3_600_000_000;
const HOURS = 72;
const ARRIVALS = 600;

let stand: BrokerStand;

beforeEach(async () => {
  stand = await BrokerStand.start();
  const { connection } = await stand.connect("admin");
  await createHistory(connection);
  const facts = openMinuteFacts(connection);
  const endUs = Math.floor((Date.now() * 1000) / HOUR_US) * HOUR_US;
  const made = Array.from({ length: HOURS }, (_, hour) => facts.append(fact(endUs, hour)));
  for (const written of await Promise.all(made)) assert(written.ok, "a fact is written");
});

afterEach(async () => {
  await stand[Symbol.asyncDispose]();
});

const fact = (endUs: number, hour: number): LoadFact => ({
  v: 1,
  model: "digits",
  priority: "standard",
  source: "import",
  atUs: endUs - (HOURS - hour) * HOUR_US,
  spanUs: 60_000_000,
  arrivals: ARRIVALS,
  served: ARRIVALS,
  refused: 0,
  failed: 0,
  rows: ARRIVALS,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 0,
  outputBytes: 0,
  queueUs: 0,
  computeUs: 0,
  crossingBytes: 0,
});

test.each([
  ["no numbers", Number.NaN],
  ["absurd", 1e15],
  ["negative", -5_000],
])("a member whose hours are %s is overruled, and that is said", async (_, value) => {
  const warnings: object[] = [];
  const log = { ...silent, warn: (fields: object) => void warnings.push(fields) };
  const bus = await stand.connect("forecaster");
  const { connection } = bus;
  const documents = await Documents.open(connection);
  const lease = stand.open.use(
    await Lease.open(connection, { name: "forecaster", holder: "f", log }),
  );
  const thread = { forecast: () => Promise.resolve(ok(Array.from({ length: 24 }, () => value))) };
  const core = new ElasticCore({
    prices: DEFAULT_PRICE_BOOK,
    kinds: ["gpu-l4"],
    rules: PLAN_RULES,
    follow: FOLLOW_OPTIONS,
    quantile: "0.75",
    objectiveUs: 200_000,
    refitUs: HOUR_US,
    planUs: 300_000_000,
    settleUs: 0,
    silentUsMax: 2_000_000,
    refusedForUs: 1_000_000,
  });
  const service = stand.open.use(
    new ElasticService({
      bus,
      core,
      clock: REAL_CLOCK,
      lease,
      documents,
      driver: undefined,
      events: [],
      defers: false,
      prophet: new ProphetDays(thread, "member"),
      budget: undefined,
      figures: new Figures(createMetrics({ role: "forecaster", id: "f" })),
      log,
    }),
  );
  void service.run();
  let document = await documents.get("digits");
  for (let waits = 0; waits < 100 && !(document.ok && document.value !== undefined); waits++) {
    await sleep(100);
    document = await documents.get("digits");
  }
  const read = present(document.ok ? document.value : undefined, "a forecast");
  const forecast = checkValue(forecastSchema, read.content);
  expect(forecast.ok && forecast.value.overruled?.join()).toContain("prophet");
  expect(warnings).toContainEqual(
    expect.objectContaining({ model: "digits", reasons: [expect.stringContaining("prophet")] }),
  );
  const mean = forecast.ok ? forecast.value.mean : [];
  expect(mean.every((count) => count >= 0 && count <= 2 * ARRIVALS)).toBe(true);
});
