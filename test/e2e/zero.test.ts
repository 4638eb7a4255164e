/**
 * From zero: a fleet of nobody starts a worker for the first request and ends it when nobody asks
 * any more, and a model that nobody asks for leaves its device until somebody does.
 */

import { afterEach, describe, expect, test } from "vitest";
import { ids2, lookup } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { ElasticFleet } from "../support/elastic.ts";
import { ask } from "../support/inference.ts";
import { Members } from "../support/members.ts";
import { freePorts } from "../support/ports.ts";

const TIMEOUT_MS = 30_000;
const TEST_MS = 90_000;
/** The forecaster's clock: its window of a minute is three seconds long. */
const SCALE = 20;
const HOLD_S = 2 * SCALE;
const METRIC = "millrace_ingress_zero_to_answer_seconds";

const MODEL = lookup("table", { size: 8, factor: 3 });
const REF = "table@1";

interface Stand {
  readonly cluster: Cluster;
  /** Of the ingress. */
  readonly metricsPort: number;
}

let opened: AsyncDisposableStack | undefined;

afterEach(async () => {
  await opened?.disposeAsync();
  opened = undefined;
});

/** A cluster that knows the model, whether or not anybody holds it. */
async function open(workers: number, scheduler: Readonly<Record<string, string>>): Promise<Stand> {
  const [metricsPort = 0] = await freePorts(1);
  opened = new AsyncDisposableStack();
  const cluster = opened.use(
    await startCluster({
      counts: { scheduler: 1, "gpu-worker": workers, "cpu-worker": 0 },
      env: {
        ...EMULATED,
        scheduler,
        ingress: { MILLRACE_METRICS_PORT: String(metricsPort) },
      },
    }),
  );
  await cluster.push(MODEL);
  await cluster.until("the registry's word of it", async () => {
    return (await cluster.fetch("/v2/models/table")).ok;
  });
  return { cluster, metricsPort };
}

/** Asks once; how long the answer took. */
async function askOnce(cluster: Cluster): Promise<number> {
  const beganMs = performance.now();
  const parameters = { timeout: TIMEOUT_MS * 1000 };
  const answer = await ask(cluster, "table", [ids2([2, 5])], { parameters });
  const tookMs = performance.now() - beganMs;
  expect(answer).toMatchObject({ status: 200, outputs: [{ data: [6, 15] }] });
  return tookMs;
}

/** Times from zero to an answer that the ingress counted, and their sum. */
async function fromZero(metricsPort: number): Promise<{ count: number; seconds: number }> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const read = (what: string): number => {
    const line = text.split("\n").find((each) => each.startsWith(`${METRIC}_${what}{`));
    return Number(line?.split(" ").at(-1) ?? 0);
  };
  return { count: read("count"), seconds: read("sum") };
}

async function openElastic(): Promise<Stand & { readonly elastic: ElasticFleet }> {
  const stand = await open(0, { MILLRACE_WAIT_FOR_WORKERS: "true" });
  const elastic = await ElasticFleet.open(stand.cluster, { scale: SCALE });
  opened?.use(elastic);
  await elastic.forecaster({
    MILLRACE_WORKERS_MIN: "0",
    MILLRACE_WORKERS_MAX: "1",
    MILLRACE_ELASTIC_HOLD_S: String(HOLD_S),
  });
  await stand.cluster.until("a first decision", () => elastic.log.includes("workers wanted"));
  return { ...stand, elastic };
}

describe("a fleet of nobody", () => {
  test(
    "starts a worker for the first request, which waits for it, and ends it when idle",
    { timeout: TEST_MS },
    async () => {
      const { cluster, elastic, metricsPort } = await openElastic();
      const there = (): Promise<number> => elastic.count();
      expect(await there()).toBe(0);
      const firstMs = await askOnce(cluster);
      expect(await there()).toBe(1);
      // Nobody waits for what is there.
      expect(await askOnce(cluster)).toBeLessThan(firstMs / 2);
      const first = await fromZero(metricsPort);
      expect(first.count).toBe(1);
      expect(first.seconds).toBeGreaterThan(firstMs / 2000);
      await cluster.until("the fleet to end", async () => (await there()) === 0);
      // By now it is known what one worker does of the model.
      const secondMs = await askOnce(cluster);
      const { count } = await fromZero(metricsPort);
      expect(count).toBe(2);
      console.log(`from zero to the first answer: ${seconds(firstMs)}, then ${seconds(secondMs)}`);
    },
  );
});

describe("a parked model", () => {
  test(
    "leaves its device when nobody asks, and answers the next request",
    { timeout: TEST_MS },
    async () => {
      const { cluster, metricsPort } = await open(1, { MILLRACE_PARK_AFTER_S: "2" });
      const members = new Members(cluster.bus);
      const isHeld = (): boolean => members.holds("gpu-worker-1", REF);
      await cluster.until("the model that was pushed", isHeld);
      for (const times of [1, 2]) {
        await cluster.until("the model to be parked", () => !isHeld());
        const tookMs = await askOnce(cluster);
        expect(await fromZero(metricsPort)).toMatchObject({ count: times });
        console.log(`from a parked model to its answer: ${seconds(tookMs)}`);
      }
    },
  );
});

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
