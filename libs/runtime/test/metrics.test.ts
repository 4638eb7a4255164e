/** Series and their exposition, and the listener that serves them. */

import { expect, test } from "vitest";
import {
  createMetrics,
  LATENCY_BUCKETS_S,
  type Health,
  type Metrics,
  serveMetrics,
} from "../src/index.ts";

const linesOf = async (metrics: Metrics, name: string): Promise<string[]> =>
  (await metrics.registry.metrics())
    .split("\n")
    .filter((line) => line.startsWith(`millrace_${name}`));

test("series carry their labels and those of the process", async () => {
  const metrics = createMetrics({ role: "ingress", id: "ingress-1" });
  const requests = metrics.counter({
    name: "millrace_requests_total",
    help: "requests",
    labels: ["model", "code"],
  });
  const digits = requests.labels({ model: "digits@1", code: "200" });
  digits.inc();
  digits.inc(2);
  requests.labels({ code: "200", model: "digits@1" }).inc();
  requests.labels({ model: 'a"b\n', code: "503" }).inc();
  expect(await linesOf(metrics, "requests")).toEqual([
    'millrace_requests_total{model="digits@1",code="200",role="ingress",id="ingress-1"} 4',
    'millrace_requests_total{model="a\\"b\\n",code="503",role="ingress",id="ingress-1"} 1',
  ]);
  const text = await metrics.registry.metrics();
  expect(text).toContain("# TYPE millrace_requests_total counter");
  expect(text).toContain("process_resident_memory_bytes");
});

test("a histogram counts each value once, in every bucket that holds it", async () => {
  const metrics = createMetrics({ role: "ingress", id: "a" });
  const seconds = metrics
    .histogram({ name: "millrace_wait_seconds", help: "wait", buckets: [0.1, 1] })
    .labels({});
  for (const value of [0.05, 0.1, 0.100001, 1, 7]) seconds.observe(value);
  expect(await linesOf(metrics, "wait")).toEqual([
    'millrace_wait_seconds_bucket{le="0.1",role="ingress",id="a"} 2',
    'millrace_wait_seconds_bucket{le="1",role="ingress",id="a"} 4',
    'millrace_wait_seconds_bucket{le="+Inf",role="ingress",id="a"} 5',
    expect.stringMatching(/^millrace_wait_seconds_sum\{role="ingress",id="a"\} 8\.25/),
    'millrace_wait_seconds_count{role="ingress",id="a"} 5',
  ]);
});

test("latency buckets rise from 100 us to 10 s", () => {
  expect(LATENCY_BUCKETS_S[0]).toBe(0.0001);
  expect(LATENCY_BUCKETS_S.at(-1)).toBe(10);
  expect([...LATENCY_BUCKETS_S].sort((a, b) => a - b)).toEqual(LATENCY_BUCKETS_S);
});

test("a gauge can be set afresh at every scrape", async () => {
  const metrics = createMetrics({ role: "scheduler", id: "a" });
  const queues = new Map([["digits@1", 3]]);
  const depth = metrics.gauge({
    name: "millrace_queue_rows",
    help: "rows",
    labels: ["model"],
    collect: () => {
      depth.clear();
      for (const [model, rows] of queues) depth.labels({ model }).set(rows);
    },
  });
  expect(await linesOf(metrics, "queue")).toEqual([
    'millrace_queue_rows{model="digits@1",role="scheduler",id="a"} 3',
  ]);
  queues.clear();
  expect(await linesOf(metrics, "queue")).toEqual([]);
});

test("series beyond the limit are counted together", async () => {
  const metrics = createMetrics({ role: "ingress", id: "a" });
  const family = metrics.counter({ name: "millrace_many_total", help: "many", labels: ["model"] });
  for (let at = 0; at < 10_050; at++) family.labels({ model: `m${at}` }).inc();
  const lines = await linesOf(metrics, "many");
  expect(lines.length).toBe(10_001);
  expect(lines.at(-1)).toBe('millrace_many_total{model="other",role="ingress",id="a"} 50');
});

test("metrics and health are served, and nothing else", async () => {
  const { registry } = createMetrics({ role: "ingress", id: "a" });
  let health: Health = { ok: true, detail: "ready" };
  await using server = await serveMetrics({
    registry,
    health: () => health,
    host: "127.0.0.1",
    port: "any",
  });
  const get = (path: string, method = "GET"): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { method });
  const metrics = await get("/metrics");
  expect([metrics.status, metrics.headers.get("content-type")]).toEqual([
    200,
    "text/plain; version=0.0.4; charset=utf-8",
  ]);
  expect(await metrics.text()).toContain("process_cpu_seconds_total");
  const well = await get("/health");
  expect([well.status, await well.json()]).toEqual([200, { ok: true, detail: "ready" }]);
  health = { ok: false, detail: "not connected" };
  const ill = await get("/health");
  expect([ill.status, await ill.json()]).toEqual([503, { ok: false, detail: "not connected" }]);
  expect((await get("/other")).status).toBe(404);
  expect((await get("/health", "POST")).status).toBe(405);
});

test("port 0 serves nothing", async () => {
  const { registry } = createMetrics({ role: "ingress", id: "a" });
  const health = (): Health => ({ ok: true, detail: "" });
  await using server = await serveMetrics({ registry, health, host: "127.0.0.1", port: 0 });
  expect(server.port).toBe(0);
});
