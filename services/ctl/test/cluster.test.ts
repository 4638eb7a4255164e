/** The cluster's tables from heartbeats, statistics and records, and what is said of readiness. */

import type {
  ModelRecord,
  Resident,
  SchedulerHeartbeat,
  WorkerHeartbeat,
} from "@millrace/protocol";
import { describe, expect, test } from "vitest";
import { type Heard, viewCluster } from "../src/cluster.ts";
import { renderCluster } from "../src/cluster-view.ts";
import { readinessOf } from "../src/ready.ts";

const GIB = 1024 ** 3;

const worker = (id: string, change: Partial<WorkerHeartbeat> = {}): WorkerHeartbeat => ({
  v: 1,
  id,
  role: "gpu-worker",
  incarnation: 1,
  beat: 1,
  state: "ready",
  device: {
    class: "emulated",
    name: "2 cores",
    memoryTotalBytes: 2 * GIB,
    memoryFreeBytes: 1.5 * GIB,
    memorySource: "budget",
  },
  progress: 0,
  inFlight: 1,
  backlogUs: 2_500,
  assignments: {},
  modelsRevision: 1,
  ...change,
});

const scheduler = (id: string, loads: SchedulerHeartbeat["loads"] = []): SchedulerHeartbeat => ({
  v: 1,
  id,
  incarnation: 1,
  beat: 1,
  state: "ready",
  breaks: 0,
  loads,
});

const resident = (ref: string, state: Resident["state"] = "ready"): Resident => ({
  ref,
  state,
  bytes: 1000,
});

const stats = (name: string, id: string, data: object) => ({
  name,
  metadata: { id },
  endpoints: [{ num_requests: 1, num_errors: 0, data }],
});

const model = (name: string, active: number, loaded = true): ModelRecord => ({
  name,
  active,
  loaded,
  versions: {},
});

const heard = (change: Partial<Heard> = {}): Heard => ({
  workers: new Map(),
  schedulers: new Map(),
  stats: [],
  records: [],
  ...change,
});

const byId = <T extends { readonly id: string }>(...members: T[]): Map<string, T> =>
  new Map(members.map((member) => [member.id, member]));

const BUSY = heard({
  workers: byId(
    worker("gpu-worker-2", { state: "draining" }),
    worker("gpu-worker-1", { models: [resident("digits@2"), resident("old@1", "loading")] }),
  ),
  schedulers: byId(
    scheduler("scheduler-1", [
      { ref: "digits@2", queuedRows: 3, waitUs: 10, computeUs: 10, rowsPerSecond: 5 },
    ]),
  ),
  stats: [
    stats("gpu-worker", "gpu-worker-2", { models: [resident("digits@2")] }),
    stats("scheduler", "scheduler-1", { batchRowsMean: 6.25 }),
    stats("ingress", "ingress-1", {
      open: 4,
      openBytes: 2048,
      models: { "digits@2": { requestsPerSecond: 120, p50Us: 800, p99Us: 5_100, errors: 1 } },
    }),
    stats("ingress", "ingress-2", {
      models: { "digits@2": { requestsPerSecond: 30, p50Us: 900, p99Us: 4_000, errors: 0 } },
    }),
    stats("something-else", "x", { open: "many" }),
  ],
  records: [model("digits", 2), model("parked", 1, false)],
});

describe("the view", () => {
  const view = viewCluster(BUSY);

  test("members stand in the order of their ids", () => {
    expect(view.workers.map(({ id }) => id)).toEqual(["gpu-worker-1", "gpu-worker-2"]);
    expect(view.ingresses.map(({ id }) => id)).toEqual(["ingress-1", "ingress-2"]);
  });

  test("a worker whose beat had no list tells its models in its statistics", () => {
    expect(view.workers[1]?.models.map(({ ref }) => ref)).toEqual(["digits@2"]);
  });

  test("a model's figures are added up over members, its times are the worst", () => {
    expect(view.models.find(({ ref }) => ref === "digits@2")).toEqual({
      ref: "digits@2",
      loaded: true,
      ready: 2,
      queuedRows: 3,
      requestsPerSecond: 150,
      p50Us: 900,
      p99Us: 5_100,
      errors: 1,
    });
  });

  test("models that nobody asked for, and versions that somebody still holds, are there", () => {
    expect(view.models.map(({ ref, loaded, ready }) => [ref, loaded, ready])).toEqual([
      ["digits@2", true, 2],
      ["old@1", true, 0],
      ["parked@1", false, 0],
    ]);
  });

  test("figures of another form are left out", () => {
    const odd = stats("ingress", "ingress-1", { open: "many", models: 3 });
    expect(viewCluster(heard({ stats: [odd] })).ingresses).toEqual([
      { id: "ingress-1", open: 0, openBytes: 0, requestsPerSecond: 0 },
    ]);
  });
});

describe("the tables", () => {
  test("show everything on one screen", () => {
    expect(renderCluster(viewCluster(BUSY)).split("\n")).toEqual([
      "WORKER        DEVICE             MEMORY             IN FLIGHT  BACKLOG  STATE     MODELS",
      "gpu-worker-1  emulated: 2 cores  512 MiB / 2.0 GiB  1          2.50 ms  ready     " +
        "digits@2, old@1 (loading)",
      "gpu-worker-2  emulated: 2 cores  512 MiB / 2.0 GiB  1          2.50 ms  draining  digits@2",
      "",
      "MODEL     DEVICES   QUEUED  RATE   P50     P99      ERRORS",
      "digits@2  2         3       150/s  900 us  5.10 ms  1",
      "old@1     0         0       0/s    -       -        0",
      "parked@1  unloaded  0       0/s    -       -        0",
      "",
      "SCHEDULER    STATE  QUEUED  ROWS A BATCH",
      "scheduler-1  ready  3       6.3",
      "",
      "INGRESS    RATE   OPEN  OPEN BYTES",
      "ingress-1  120/s  4     2.0 KiB",
      "ingress-2  30/s   0     0 B",
    ]);
  });

  test("say so where there is nobody", () => {
    const text = renderCluster(viewCluster(heard()));
    expect(text).toBe("no workers\n\nno models\n\nno schedulers\n\nno ingresses");
  });

  test("shows zones and how machines are paid for, once a worker was told of them", () => {
    const workers = byId(worker("a", { zone: "east", lifecycle: "spot" }), worker("b"));
    const [head = "", first = "", second = ""] = renderCluster(
      viewCluster(heard({ workers })),
    ).split("\n");
    expect(head).toMatch(/^WORKER +ZONE +PAID AS +DEVICE/);
    expect(first).toMatch(/^a +east +spot +emulated/);
    expect(second).toMatch(/^b +- +- +emulated/);
  });

  test("an emulated device says so, and long lists are cut", () => {
    const models = Array.from({ length: 9 }, (_, at) => resident(`m${at}@1`));
    const text = renderCluster(viewCluster(heard({ workers: byId(worker("w", { models })) })));
    expect(text).toContain("emulated: 2 cores");
    expect(text).toContain("m0@1, m1@1, m2@1, m3@1 and 5 more");
  });
});

describe("readiness", () => {
  const holdings = (...models: Resident[][]) =>
    new Map(models.map((held, at) => [`worker-${at}`, held] as const));

  test("ready anywhere is ready", () => {
    const held = holdings([resident("m@2", "failed")], [resident("m@2")]);
    expect(readinessOf("m@2", held)).toMatchObject({ state: "ready", detail: "worker-1, 1000 B" });
  });

  test("loading comes before failed", () => {
    const held = holdings([resident("m@2", "failed")], [resident("m@2", "loading")]);
    expect(readinessOf("m@2", held).state).toBe("loading");
  });

  test("a failure tells its worker, reason and code", () => {
    const error = { code: "OUT_OF_MEMORY", message: "no room" };
    const held = holdings([{ ...resident("m@2", "failed"), error }]);
    expect(readinessOf("m@2", held)).toEqual({
      state: "failed",
      detail: "worker-0: no room (OUT_OF_MEMORY)",
    });
  });

  test("another version is not this one", () => {
    expect(readinessOf("m@2", holdings([resident("m@1")])).state).toBe("waiting");
  });

  test("no workers, and workers that do nothing, are told apart", () => {
    expect(readinessOf("m@2", holdings()).detail).toBe("no worker is running");
    expect(readinessOf("m@2", holdings([], [])).detail).toContain("none of 2 workers");
  });
});
