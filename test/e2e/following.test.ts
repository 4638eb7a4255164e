/**
 * A fleet of real processes and the forecaster that it follows: batch work that may wait and work
 * that may not, a model's own limits, other policies, advice, and known events.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { MICROS } from "@millrace/costing";
import { dayPrices } from "@millrace/ctl";
import { Documents, openMinuteFacts } from "@millrace/history";
import { DAY_US, factsOfTrace, HOUR_US } from "@millrace/load-facts";
import { checkValue, type JobView, planSchema } from "@millrace/protocol";
import { present } from "@millrace/std";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ids2, lookup } from "../support/built-models.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { ElasticFleet } from "../support/elastic.ts";
import { ask } from "../support/inference.ts";
import { mustSucceed } from "../support/result.ts";

/** The forecaster's clock: five minutes are five seconds. */
const SCALE = 60;
const STEP_US = 300_000_000;
/** An emulated device does twenty rows a second. */
const ROW_US = 50_000;
const ITEMS = 300;
/** Requests at once. */
const FLOOD = 60;
const TEST_MS = 60_000;
const APPENDS_MAX = 32;
const MODELS = ["patient", "hasty", "thrifty"];
/** An on-demand worker's, by the hour. */
const PRICE = present(dayPrices(SCALE).offers[0], "an offer").microsPerHour / MICROS;
/** The budget pays for three workers, and half a one. */
const LIMITS = {
  patient: { batchWaitSeconds: 6 * 3_600, workersMin: 1 },
  hasty: { workersMax: 2 },
  thrifty: { budgetPerHour: 3.5 * PRICE },
};
/** The fleet's own bound is above the models', and without theirs it is reached. */
const WORKERS = {
  MILLRACE_WORKERS_MIN: "0",
  MILLRACE_WORKERS_MAX: "6",
  MILLRACE_ELASTIC_HOLD_S: String(2 * SCALE),
};

let cluster: Cluster;
let elastic: ElasticFleet;

beforeAll(async () => {
  cluster = await startCluster({
    counts: { scheduler: 1, "gpu-worker": 0, "cpu-worker": 0 },
    env: { scheduler: { MILLRACE_WAIT_FOR_WORKERS: "true" } },
  });
  for (const name of MODELS) await cluster.push(lookup(name, { size: 8, factor: 3 }));
  const workerEnv = { MILLRACE_EMULATED_ROW_US: String(ROW_US) };
  elastic = await ElasticFleet.open(cluster, { scale: SCALE, workerEnv });
  for (const name of MODELS) await remember(name);
}, TEST_MS);

afterAll(async () => {
  await elastic?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

/** A day of a little load, so that there is a forecast from the start. */
async function remember(model: string): Promise<void> {
  const endUs = Math.floor((elastic.beganMs * 1000) / STEP_US) * STEP_US;
  const values = Array.from({ length: DAY_US / STEP_US }, () => 10);
  const series = { startUs: endUs - DAY_US, stepUs: STEP_US, values };
  const facts = factsOfTrace(
    { kind: "counts", series, sums: {}, repairs: [] },
    { model, priority: "standard", source: "import" },
  );
  const log = openMinuteFacts(cluster.bus.connection);
  for (let from = 0; from < facts.length; from += APPENDS_MAX) {
    const some = facts.slice(from, from + APPENDS_MAX);
    (await Promise.all(some.map((fact) => log.append(fact)))).forEach(mustSucceed);
  }
}

const counted = async (workers: number): Promise<boolean> => (await elastic.count()) === workers;

async function askOnce(model: string, priority = "standard"): Promise<void> {
  const parameters = { priority, timeout: 30_000_000 };
  expect(await ask(cluster, model, [ids2([2, 5])], { parameters })).toMatchObject({
    status: 200,
    outputs: [{ data: [6, 15] }],
  });
}

async function submit(model: string): Promise<string> {
  const item = JSON.stringify({ inputs: [ids2([1, 2])] });
  const response = await cluster.fetch(`/v2/jobs?model=${model}`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: Array.from({ length: ITEMS }, () => item).join("\n"),
  });
  expect(response.status).toBe(202);
  return ((await response.json()) as JobView).id;
}

async function leftOf(job: string): Promise<number> {
  const { items } = (await (await cluster.fetch(`/v2/jobs/${job}`)).json()) as JobView;
  return items.total - items.done - items.failed;
}

/** Workers at once, while a flood of requests to the model is answered. */
async function mostWorkers(model: string): Promise<number> {
  let workers = 0;
  const over = new AbortController();
  const asked = Array.from({ length: FLOOD }, () => askOnce(model, "batch"));
  const answered = Promise.all(asked).finally(() => over.abort());
  while (!over.signal.aborted) {
    workers = Math.max(workers, await elastic.count());
    await sleep(50);
  }
  await answered;
  return workers;
}

/** What is left of the other models' load may round up to one worker more. */
async function expectWorkers(model: string, limit: number): Promise<void> {
  const most = await mostWorkers(model);
  expect(most).toBeGreaterThanOrEqual(limit);
  expect(most).toBeLessThanOrEqual(limit + 1);
}

/** The reasons of the plan's first step. */
async function reasons(): Promise<string> {
  const documents = await Documents.open(cluster.bus.connection);
  const document = mustSucceed(await documents.get("plan"));
  const plan = mustSucceed(checkValue(planSchema, document?.content));
  return plan.steps[0]?.reasons.join("; ") ?? "";
}

interface Kind {
  readonly kind: string;
  readonly wanted: number;
  readonly because: string;
  readonly binding: boolean;
}

/** What the forecaster decided last. */
async function decision(): Promise<Kind | undefined> {
  const answer = await cluster.bus.connection.request("$SRV.STATS.forecaster", "", {
    timeout: 2_000,
  });
  const { endpoints } = answer.json<{
    readonly endpoints: readonly [{ readonly data: { readonly kinds: readonly Kind[] } }];
  }>();
  return endpoints[0].data.kinds[0];
}

test("a known event is in the forecast of its hours", { timeout: TEST_MS }, async () => {
  const nowUs = elastic.beganMs * 1000 + (Date.now() - elastic.beganMs) * 1000 * SCALE;
  const startUs = (Math.ceil(nowUs / HOUR_US) + 6) * HOUR_US;
  const at = (us: number): string => new Date(us / 1000).toISOString();
  const lines = ["start,end,name,factor", `${at(startUs)},${at(startUs + 4 * HOUR_US)},sale,4`];
  const file = await elastic.file("events.csv", `${lines.join("\n")}\n`);
  await elastic.forecaster({ ...WORKERS, MILLRACE_EVENTS_FILE: file });
  const documents = await Documents.open(cluster.bus.connection);
  let ratio = 1;
  await cluster.until("a forecast with the event", async () => {
    const document = mustSucceed(await documents.get("hasty"));
    const content = present(document, "a forecast").content;
    const { mean, startUs: fromUs } = content as { mean: number[]; startUs: number };
    const meanAt = (us: number): number => mean[Math.floor((us - fromUs) / STEP_US)] ?? Number.NaN;
    // The levels of neighbouring hours run into each other.
    ratio = meanAt(startUs + 2 * HOUR_US) / meanAt(startUs - 2 * HOUR_US);
    return ratio > 2;
  });
  expect(Math.abs(ratio - 4)).toBeLessThan(0.5);
});

test(
  "batch work that may wait adds no worker, other work as many as its model may have or pay for",
  { timeout: TEST_MS },
  async () => {
    const file = await elastic.file("limits.json", JSON.stringify(LIMITS));
    await elastic.forecaster({ ...WORKERS, MILLRACE_MODEL_LIMITS_FILE: file });
    for (const model of MODELS) await askOnce(model);
    await cluster.until("a plan for all", async () => {
      const plan = await reasons();
      return MODELS.every((model) => plan.includes(model));
    });
    await cluster.until("one worker", () => counted(1));
    await expectWorkers("hasty", LIMITS.hasty.workersMax);
    await cluster.until("one worker again", () => counted(1));
    await expectWorkers("thrifty", 3);
    await cluster.until("one worker again", () => counted(1));
    const patient = await submit("patient");
    await cluster.until("a plan with the job", async () =>
      /\d\.\d worker-hours of patient may wait/.test(await reasons()),
    );
    await expectWorkers("patient", 1);
    // It was at work all the time.
    expect(await leftOf(patient)).toBeGreaterThan(0);
  },
);

test("the step rule looks at the load alone", { timeout: TEST_MS }, async () => {
  await elastic.forecaster({ ...WORKERS, MILLRACE_FLEET_POLICY: "step-rule" });
  await cluster.until("a decision by rule", async () => (await decision())?.because === "rule");
  expect(await decision()).toMatchObject({ wanted: 2, binding: true });
});

test("advice is said, and nothing is done", { timeout: TEST_MS }, async () => {
  const before = await elastic.count();
  await elastic.forecaster({
    ...WORKERS,
    MILLRACE_WORKERS_MIN: "5",
    MILLRACE_ADVISORY: "true",
  });
  await cluster.until("advice", async () => ((await decision())?.wanted ?? 0) >= 5);
  expect((await decision())?.binding).toBe(false);
  await sleep(2_000);
  // One that was told to end before may have ended.
  expect(await elastic.count()).toBeLessThanOrEqual(Math.min(before, 4));
});
