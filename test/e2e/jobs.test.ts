/**
 * Durable jobs on a real cluster while its ingress, its broker and its workers are killed: every
 * accepted job ends, with one right result for each of its items (I5), and nobody else's (I2).
 */

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobView } from "@millrace/protocol";
import { checkOneEffect, type Fact, Observer } from "@millrace/invariants";
import { afterAll, beforeAll, expect, test } from "vitest";
import { affine, ids2, lookup, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { millrace } from "../support/command.ts";
import { Load } from "../support/load.ts";

const JOBS = 10;
const ITEMS = 200;
const END_MS_MAX = 30_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({
    env: { ...EMULATED, ingress: { MILLRACE_JOB_CHUNKS_MAX: "60" } },
    counts: { ingress: 2 },
    models: [
      affine("double", { factor: 2, offset: 1 }),
      lookup("table", { size: 1000, factor: 3 }),
    ],
  });
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const url = (ingress: number): string => `http://${cluster.host}:${cluster.ports[ingress] ?? 0}`;

/** Of any ingress that answers: one may be down. */
async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${cluster.key}`);
  for (let tries = 0; ; tries++) {
    try {
      const response = await fetch(`${url(tries % 2)}${path}`, { ...init, headers });
      if (response.status < 500) return response;
      await response.body?.cancel();
      if (tries > 100) throw new Error(`${path} answered ${response.status}`);
    } catch (error) {
      if (tries > 100) throw error;
    }
    await sleep(50);
  }
}

const linesOf = (items: readonly object[]): string =>
  items.map((item) => JSON.stringify(item)).join("\n");

/** The same submission is repeated until it is answered: its key makes it one job. */
async function submit(model: string, items: readonly object[], key: string): Promise<JobView> {
  const headers = { "content-type": "application/x-ndjson", "idempotency-key": key };
  for (;;) {
    const init = { method: "POST", headers, body: linesOf(items) };
    const response = await ask(`/v2/jobs?model=${model}`, init);
    // Another ingress still received it, or died while it did.
    if (response.status === 409) continue;
    expect(response.status).toBe(202);
    return (await response.json()) as JobView;
  }
}

async function ended(id: string): Promise<JobView> {
  let job: JobView | undefined;
  await cluster.until(
    `the end of job ${id}`,
    async () => {
      job = (await (await ask(`/v2/jobs/${id}`)).json()) as JobView;
      return job.ended_at !== undefined;
    },
    END_MS_MAX,
  );
  return job as JobView;
}

interface Line {
  readonly item: number;
  readonly response?: { readonly outputs: readonly { readonly data: readonly number[] }[] };
  readonly error?: { readonly code: string };
}

async function results(id: string): Promise<readonly Line[]> {
  const text = await (await ask(`/v2/jobs/${id}/results`)).text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

const contentOf = (values: readonly number[]): string => values.join(",");

test("2,000 items survive the death of ingress, broker and worker, each done once", async () => {
  const observer = new Observer([checkOneEffect]);
  const seen = (fact: Fact): void => observer.observe(fact, performance.now() * 1000);
  // People are served meanwhile: batch work does not push them aside.
  const load = new Load({
    target: { url: url(1), key: cluster.key },
    perSecond: 40,
    timeoutMs: 5_000,
    question: (number) => ({
      model: "double",
      inputs: [rows4([number, 0, 0, 0])],
      expected: () => [2 * number + 1, 1, 1, 1],
      options: { parameters: { priority: "realtime" } },
    }),
  });
  const value = (job: number, item: number): number => job * 1000 + item;
  const submitted = Promise.all(
    Array.from({ length: JOBS }, async (_, job) => {
      await sleep(job * 150);
      const items = Array.from({ length: ITEMS }, (_unused, item) => ({
        inputs: [rows4([value(job, item), 0, 0, 0])],
      }));
      const key = `survive ${job}`;
      const { id } = await submit("double", items, key);
      seen({ type: "jobAccepted", job: id, key, items: ITEMS });
      return { id, job };
    }),
  );
  await sleep(300);
  cluster.kill("ingress-1");
  await sleep(500);
  cluster.kill("cpu-worker-1");
  await sleep(400);
  cluster.broker.kill();
  await sleep(400);
  cluster.kill("gpu-worker-1");
  const jobs = await submitted;
  cluster.kill("ingress-1");
  for (const { id, job } of jobs) {
    const { state, items } = await ended(id);
    seen({ type: "jobEnded", job: id });
    expect({ state, items }).toEqual({
      state: "done",
      items: { total: ITEMS, done: ITEMS, failed: 0 },
    });
    for (const { item, response } of await results(id)) {
      const data = response?.outputs[0]?.data ?? [];
      const isRight = contentOf(data) === contentOf([2 * value(job, item) + 1, 1, 1, 1]);
      const content = isRight ? `${id}/${item}` : contentOf(data);
      seen({ type: "jobItemRead", job: id, item, content });
    }
  }
  await load.stop();
  observer.finish(performance.now() * 1000);
  expect(observer.violations).toEqual([]);
  expect(load.entries.length).toBeGreaterThan(50);
  // The same submissions again are the same jobs.
  const again = Array.from({ length: ITEMS }, (_, item) => ({ inputs: [rows4([item, 0, 0, 0])] }));
  expect((await submit("double", again, "survive 0")).id).toBe(jobs[0]?.id);
});

test("a bad item fails alone, at the door or at the device", async () => {
  const items = Array.from({ length: 100 }, (_, at) => ({
    // An id from 1,000 on fits the signature and fails the run.
    inputs: [ids2(at === 50 ? [5_000, 1] : [at, at + 1])],
  }));
  const job = await submit("table", [...items, { inputs: [] }], "bad items");
  expect(await ended(job.id)).toMatchObject({
    state: "done",
    items: { total: 101, done: 99, failed: 2 },
  });
  const lines = await results(job.id);
  const failed = lines.filter(({ error }) => error !== undefined);
  expect(failed.map(({ item, error }) => [item, error?.code])).toEqual([
    [50, "INPUT_REJECTED"],
    [100, "MISSING_INPUT"],
  ]);
});

test("a full queue is refused at once, and a cancelled job leaves it", async () => {
  await cluster.setLoaded("table", false);
  // Known to both ingresses when neither takes the model any more; what is queued waits for it.
  await cluster.setLoaded("table", true);
  for (const id of ["gpu-worker-1", "cpu-worker-1"]) cluster.kill(id, "SIGSTOP");
  const items = Array.from({ length: 64 * 30 }, () => ({ inputs: [ids2([1, 2])] }));
  const first = await submit("table", items, randomBytes(8).toString("hex"));
  const second = await submit("table", items, randomBytes(8).toString("hex"));
  await sleep(400);
  const startMs = performance.now();
  const headers = { "content-type": "application/x-ndjson" };
  const init = { method: "POST", headers, body: linesOf(items.slice(0, 1)) };
  const refused = await ask("/v2/jobs?model=table", init);
  expect(performance.now() - startMs).toBeLessThan(1_000);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ code: "JOBS_FULL" });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  for (const { id } of [first, second]) {
    const cancelled = await ask(`/v2/jobs/${id}/cancel`, { method: "POST" });
    expect(await cancelled.json()).toMatchObject({ state: "cancelled" });
  }
  for (const id of ["gpu-worker-1", "cpu-worker-1"]) cluster.kill(id, "SIGCONT");
  await cluster.until("room in the queue", async () => {
    const response = await ask("/v2/jobs?model=table", init);
    return response.status === 202;
  });
});

test("the command submits a file, follows it, and prints its results", async () => {
  const input = linesOf([{ inputs: [rows4([1, 2, 3, 4])] }, { inputs: [] }]);
  const submitted = await millrace(cluster, ["job", "submit", "double", "-", "--wait"], { input });
  expect(submitted.err).toBe("");
  expect(submitted.out).toMatch(/1 done, 1 failed, of 2/);
  const id = /^[jk][0-9a-z]{20,}/.exec(submitted.out)?.[0] ?? "";
  const printed = await millrace(cluster, ["job", "results", id]);
  expect(printed.out.split("\n").map((line) => line.slice(0, 10))).toEqual([
    '{"item":0,',
    '{"item":1,',
    "",
  ]);
  expect((await millrace(cluster, ["job", "dead"])).out).toMatch(/no dead letters/i);
});
