/**
 * Members that end, freeze or drain while requests come in at a fixed rate: every request gets its
 * right answer, inside its deadline, once.
 */

import { subjects } from "@millrace/protocol";
import { rendezvousOwner } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, laborious, lookup, ids2, row512, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { Load, type Question } from "../support/load.ts";
import { Members } from "../support/members.ts";

const PER_SECOND = 150;
const TIMEOUT_MS = 2_000;
/** Requests that are on their way when something happens: more than a device holds at once. */
const BURST = 60;
/** Load before and after what happens. */
const AROUND_MS = 700;
const WORKERS = ["gpu-worker-1", "cpu-worker-1"] as const;
const SCHEDULERS = ["scheduler-1", "scheduler-2"] as const;
const MODELS = ["double", "work", "table"] as const;

let cluster: Cluster;
let members: Members;

beforeAll(async () => {
  cluster = await startCluster({
    env: EMULATED,
    models: [
      affine("double", { factor: 2, offset: 1 }),
      laborious("work", 40),
      lookup("table", { size: 1000, factor: 3 }),
    ],
  });
  members = new Members(cluster.bus);
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

/** Every request has values of its own, so that an answer to another one is seen. */
function question(number: number): Question {
  const values = [number, number + 1, number + 2, number + 3];
  switch (number % 3) {
    case 0:
      return {
        model: "double",
        inputs: [rows4(values)],
        expected: () => values.map((value) => 2 * value + 1),
      };
    case 1: {
      const row = row512(number);
      const options = { send: "binary" } as const;
      return { model: "work", inputs: [row], expected: () => row.data, options };
    }
    default: {
      const ids = [number % 1000, (7 * number) % 1000];
      return {
        model: "table",
        inputs: [ids2(ids)],
        expected: () => ids.map((id) => 3 * id),
      };
    }
  }
}

const everywhere = (): boolean =>
  WORKERS.every((worker) => MODELS.every((model) => members.holds(worker, `${model}@1`)));

/** What the ingress says that it answered, of all models. */
async function answered(): Promise<{ readonly success: number; readonly failure: number }> {
  const sum = { success: 0, failure: 0 };
  for (const model of MODELS) {
    const response = await cluster.fetch(`/v2/models/${model}/stats`);
    const document = (await response.json()) as {
      readonly model_stats: readonly {
        readonly inference_stats: Record<"success" | "fail", { readonly count: number }>;
      }[];
    };
    for (const { inference_stats: stats } of document.model_stats) {
      sum.success += stats.success.count;
      sum.failure += stats.fail.count;
    }
  }
  return sum;
}

/** Lets something happen under load, and judges the ledger of all that was asked meanwhile. */
async function survive(happening: (load: Load) => Promise<void>): Promise<Load> {
  await cluster.until("every model on both workers", everywhere);
  const before = await answered();
  const load = new Load({
    target: cluster,
    perSecond: PER_SECOND,
    timeoutMs: TIMEOUT_MS,
    question,
  });
  const requests = (count: number) => () => load.entries.length >= count;
  try {
    await cluster.until("load", requests((PER_SECOND * AROUND_MS) / 1000));
    await happening(load);
    const more = load.entries.length + (PER_SECOND * AROUND_MS) / 1000;
    await cluster.until("load", requests(more));
  } finally {
    await load.stop();
  }
  expect(load.troubles).toEqual([]);
  // I1: an answer for each, and none that nobody asked for.
  const after = await answered();
  expect(after.success - before.success).toBe(load.entries.length);
  expect(after.failure - before.failure).toBe(0);
  return load;
}

/** Ends the process while it has work, and waits until another one is in its place. */
async function end(load: Load, id: string, signal: NodeJS.Signals): Promise<void> {
  const before = members.incarnation(id);
  load.burst(BURST);
  await cluster.until("the burst on its way", () => true);
  load.mark(`${signal} to ${id}`);
  expect(cluster.kill(id, signal)).toBe(true);
  await cluster.until(`${id} to be back`, () => members.incarnation(id) !== before);
}

describe.each(WORKERS)("a %s", (id) => {
  test("killed with work in hand fails no request", async () => {
    await survive(async (load) => {
      await end(load, id, "SIGKILL");
      await cluster.until("its models to be back", everywhere);
    });
  });

  test("frozen fails no request, and gets no new work after half a second", async () => {
    await using tap = await cluster.connect(id.startsWith("gpu") ? "gpu-worker" : "cpu-worker");
    let assigned = 0;
    tap.subscribe(subjects.assign(id), () => void assigned++);
    await tap.connection.flush();
    await survive(async (load) => {
      load.burst(BURST);
      load.mark(`SIGSTOP to ${id}`);
      const frozenMs = load.nowMs;
      expect(cluster.kill(id, "SIGSTOP")).toBe(true);
      try {
        await cluster.until("half a second", () => load.nowMs - frozenMs >= 500);
        const meanwhile = assigned;
        await cluster.until("a second more", () => load.nowMs - frozenMs >= 1_500);
        expect(assigned - meanwhile).toBe(0);
      } finally {
        cluster.kill(id, "SIGCONT");
      }
      load.mark(`SIGCONT to ${id}`);
      const before = assigned;
      await cluster.until("work for it again", () => assigned > before);
    });
  });

  test("told to end drains, and fails no request", async () => {
    await survive(async (load) => {
      await end(load, id, "SIGTERM");
      await cluster.until("its models to be back", everywhere);
    });
  });
});

describe.each(SCHEDULERS)("a %s", (id) => {
  test.each([
    ["killed", "SIGKILL"],
    ["told to end", "SIGTERM"],
  ] as const)("%s fails no request", async (_, signal) => {
    const owned = MODELS.filter((model) => rendezvousOwner(model, SCHEDULERS) === id);
    expect(owned).not.toEqual([]);
    await survive(async (load) => {
      await end(load, id, signal);
    });
  });
});

describe("the broker", () => {
  test("killed fails no request", async () => {
    await survive(async (load) => {
      const { broker } = cluster;
      const restarts = broker.restarts;
      load.burst(BURST);
      load.mark("SIGKILL to nats-server");
      expect(broker.kill("SIGKILL")).toBe(true);
      await cluster.until("the next one", () => broker.restarts > restarts);
      await broker.ready();
    });
  });
});
