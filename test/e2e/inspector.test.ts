/** What the services tell `nats micro`, as its user: who they are, and figures that are true. */

import type { Bus } from "@millrace/bus";
import { present } from "@millrace/std";
import { afterAll, beforeAll, expect, test } from "vitest";
import { affine, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { ask } from "../support/inference.ts";
import { askServices, figuresOf, type MicroReply } from "../support/micro.ts";

const SCHEDULERS = ["scheduler-1", "scheduler-2"] as const;
const WORKERS = [
  ["gpu-worker", "gpu-worker-1"],
  ["cpu-worker", "cpu-worker-1"],
] as const;
const ROLES = {
  "cpu-worker-1": ["cpu-worker", "assign", "mr.assign.cpu-worker-1"],
  "gpu-worker-1": ["gpu-worker", "assign", "mr.assign.gpu-worker-1"],
  "ingress-1": ["ingress", "infer", "mr.answer.ingress-1-"],
  "scheduler-1": ["scheduler", "ticket", "mr.ticket.scheduler-1"],
  "scheduler-2": ["scheduler", "ticket", "mr.ticket.scheduler-2"],
} as const;
const IDS = Object.keys(ROLES) as (keyof typeof ROLES)[];
const REQUESTS = 20;

let cluster: Cluster;
let inspector: Bus;

beforeAll(async () => {
  cluster = await startCluster({
    env: EMULATED,
    models: [affine("double", { factor: 2, offset: 1 })],
  });
  inspector = await cluster.connect("inspector");
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

/** What is late on a busy machine is asked for again. */
async function repliesOfAll(verb: "PING" | "INFO"): Promise<readonly MicroReply[]> {
  let replies: readonly MicroReply[] = [];
  await cluster.until(`everybody's ${verb}`, async () => {
    replies = await askServices(inspector, verb);
    return replies.length >= IDS.length;
  });
  return replies;
}

test("every one answers PING and INFO, once", async () => {
  const pings = await repliesOfAll("PING");
  expect(pings.map(({ metadata }) => metadata.id)).toEqual(IDS);
  const infos = await repliesOfAll("INFO");
  expect(infos.map(({ metadata }) => metadata.id)).toEqual(IDS);
  for (const [at, { type, name, id, metadata, endpoints }] of infos.entries()) {
    const [role, endpoint, subject] = ROLES[metadata.id as keyof typeof ROLES];
    expect([type, name]).toEqual(["io.nats.micro.v1.info_response", role]);
    expect(id).toBe(pings[at]?.id);
    expect(endpoints).toEqual([
      expect.objectContaining({ name: endpoint, subject: expect.stringContaining(subject) }),
    ]);
  }
  const schedulers = await askServices(inspector, "PING", "scheduler");
  expect(schedulers.map(({ metadata }) => metadata.id)).toEqual(SCHEDULERS);
});

interface Count {
  readonly ingress: number;
  readonly errors: number;
  readonly repeated: number;
  readonly tickets: number;
  readonly batches: number;
  readonly rows: number;
  readonly runs: number;
  readonly items: number;
}

async function count(): Promise<Count> {
  const ingress = await figuresOf(inspector, "ingress", "ingress-1");
  const schedulers = await askServices(inspector, "STATS", "scheduler");
  const workers = await Promise.all(WORKERS.map(([role, id]) => figuresOf(inspector, role, id)));
  const queues = schedulers.map(({ endpoints }) => present(endpoints?.[0], "an endpoint"));
  const sum = (values: readonly unknown[]): number =>
    values.map(Number).reduce((total, value) => total + value, 0);
  const { retries, hedges, resends } = ingress.data ?? {};
  return {
    ingress: Number(ingress.num_requests),
    errors: Number(ingress.num_errors),
    repeated: sum([retries, hedges, resends]),
    tickets: sum(queues.map(({ num_requests }) => num_requests)),
    batches: sum(queues.map(({ data }) => data?.batchesSent)),
    rows: sum(queues.map(({ data }) => data?.rowsSent)),
    runs: sum(workers.map(({ data }) => data?.runs)),
    items: sum(workers.map(({ num_requests }) => num_requests)),
  };
}

test("STATS counts what was asked, sent and run", async () => {
  const before = await count();
  for (let asked = 0; asked < REQUESTS; asked++) {
    const { status } = await ask(cluster, "double", [rows4([asked, 0, 0, 0])]);
    expect(status).toBe(200);
  }
  const more = (after: Count, of: keyof Count): number => after[of] - before[of];
  let after = before;
  await cluster.until("the last run to be counted", async () => {
    after = await count();
    return more(after, "runs") >= REQUESTS;
  });
  expect(more(after, "ingress")).toBe(REQUESTS);
  expect(more(after, "errors")).toBe(0);
  // One after the other: each is a batch of its own. A hedge is one more.
  for (const of of ["tickets", "batches", "rows", "runs", "items"] as const) {
    expect(more(after, of), of).toBeGreaterThanOrEqual(REQUESTS);
    expect(more(after, of), of).toBeLessThanOrEqual(REQUESTS + more(after, "repeated"));
  }
});

test("STATS has times, devices and models, and counts what was refused", async () => {
  const before = await count();
  const refused = await ask(cluster, "double", [{ ...rows4([0, 0, 0, 0]), name: "z" }]);
  expect(refused.status).toBe(400);
  const after = await count();
  expect(after.errors - before.errors).toBe(1);
  expect(after.tickets - before.tickets).toBe(0);
  const ingress = await figuresOf(inspector, "ingress", "ingress-1");
  expect(ingress.average_processing_time).toBeGreaterThan(0);
  expect(ingress.data).toMatchObject({ open: 0, models: { "double@1": { errors: 1 } } });
  for (const [role, id] of WORKERS) {
    const { data } = await figuresOf(inspector, role, id);
    expect(data).toMatchObject({
      state: "ready",
      device: { class: role === "gpu-worker" ? "emulated" : "cpu" },
      models: expect.arrayContaining([
        expect.objectContaining({ ref: "double@1", state: "ready" }),
      ]),
    });
  }
});
