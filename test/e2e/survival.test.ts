/**
 * Members that end, freeze or drain while requests come in at a fixed rate: every request gets its
 * right answer, inside its deadline, once (I1, I2).
 */

import { subjects } from "@millrace/protocol";
import { rendezvousOwner } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, ids2, laborious, lookup, row512, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { Load, type Question } from "../support/load.ts";
import { Members } from "../support/members.ts";
import { figuresOf } from "../support/micro.ts";

const PER_SECOND = 150;
const TIMEOUT_MS = 2_000;
/** Requests that come at once just before something happens: more than a device holds. */
const BURST = 60;
/** Load before and after what happens. */
const AROUND_MS = 700;
/** Long enough for a burst to reach the workers, too short to be taken for lost. */
const IN_HAND_MS = 100;
const INGRESSES = ["ingress-1", "ingress-2"] as const;
const SCHEDULERS = ["scheduler-1", "scheduler-2"] as const;
const WORKERS = ["gpu-worker-1", "cpu-worker-1"] as const;
const MODELS = ["double", "work", "table"] as const;

let cluster: Cluster;
let members: Members;
/** Batches that each worker was given: what the workers themselves hear. */
const assigned = new Map<string, number>();

beforeAll(async () => {
  cluster = await startCluster({
    env: EMULATED,
    counts: { ingress: 2 },
    models: [
      affine("double", { factor: 2, offset: 1 }),
      laborious("work", 40),
      lookup("table", { size: 1000, factor: 3 }),
    ],
  });
  members = new Members(cluster.bus);
  const prefix = subjects.assign("");
  (await cluster.connect("gpu-worker")).subscribe(subjects.assign("*"), (_bytes, subject) => {
    const worker = subject.slice(prefix.length);
    assigned.set(worker, (assigned.get(worker) ?? 0) + 1);
  });
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

/**
 * Every request has values of its own, so that an answer to another one is seen. Each tier is
 * asked: realtime goes to the accelerator first, batch work to the processor.
 */
function question(number: number): Question {
  const values = [number, number + 1, number + 2, number + 3];
  if (number % 3 === 0) {
    const expected = values.map((value) => 2 * value + 1);
    const options = { parameters: { priority: "realtime" } };
    return { model: "double", inputs: [rows4(values)], expected: () => expected, options };
  }
  if (number % 3 === 1) {
    const row = row512(number);
    const options = { send: "binary" } as const;
    return { model: "work", inputs: [row], expected: () => row.data, options };
  }
  const ids = [number % 1000, (7 * number) % 1000];
  const options = { parameters: { priority: "batch" } };
  return { model: "table", inputs: [ids2(ids)], expected: () => ids.map((id) => 3 * id), options };
}

const everywhere = (): boolean =>
  WORKERS.every((worker) => MODELS.every((model) => members.holds(worker, `${model}@1`)));

const startLoad = (ingress: number, perSecond: number): Load =>
  new Load({
    target: { url: `http://${cluster.host}:${cluster.ports[ingress]}`, key: cluster.key },
    perSecond,
    timeoutMs: TIMEOUT_MS,
    question,
  });

interface Counted {
  readonly requests: number;
  readonly errors: number;
  /** Tickets beyond the first of a request. */
  readonly repeated: number;
}

async function count(): Promise<Counted> {
  const { num_requests, num_errors, data } = await figuresOf(cluster.bus, "ingress", INGRESSES[0]);
  const [retries, hedges, resends] = [data?.retries, data?.hedges, data?.resends].map(Number);
  return {
    requests: Number(num_requests),
    errors: Number(num_errors),
    repeated: Number(retries) + Number(hedges) + Number(resends),
  };
}

/** Lets something happen under load, and judges the ledger of all that was asked meanwhile. */
async function survive(happening: (load: Load) => Promise<void>): Promise<Counted> {
  await cluster.until("every model on both workers", everywhere);
  const before = await count();
  const load = startLoad(0, PER_SECOND);
  const around = (PER_SECOND * AROUND_MS) / 1000;
  const untilMore = (from: number): Promise<void> =>
    cluster.until("load", () => load.entries.length >= from + around);
  try {
    await untilMore(0);
    await happening(load);
    await untilMore(load.entries.length);
  } finally {
    await load.stop();
  }
  expect(load.troubles).toEqual([]);
  const after = await count();
  // I1: as many answers as requests.
  expect(after.requests - before.requests).toBe(load.entries.length);
  expect(after.errors - before.errors).toBe(0);
  return { requests: load.entries.length, errors: 0, repeated: after.repeated - before.repeated };
}

/**
 * Gives the workers more than they hold while they stand still; then `act` happens, and they go on,
 * those in `still` apart.
 */
async function withWorkInHand(
  load: Load,
  what: string,
  act: () => boolean,
  still: readonly string[] = [],
): Promise<void> {
  signal(WORKERS, "SIGSTOP");
  const stoodMs = load.nowMs;
  load.burst(BURST);
  await cluster.until("work in hand", () => load.nowMs - stoodMs >= IN_HAND_MS);
  load.mark(what);
  expect(act()).toBe(true);
  signal(
    WORKERS.filter((worker) => !still.includes(worker)),
    "SIGCONT",
  );
}

function signal(ids: readonly string[], name: NodeJS.Signals): void {
  for (const id of ids) cluster.kill(id, name);
}

/** Ends the process while there is work, and waits until another one is in its place. */
async function end(load: Load, id: string, name: NodeJS.Signals): Promise<void> {
  const before = members.incarnation(id);
  await withWorkInHand(load, `${name} to ${id}`, () => cluster.kill(id, name));
  await cluster.until(`${id} to be back`, () => members.incarnation(id) !== before);
}

describe.each(WORKERS)("%s", (id) => {
  test("killed with work in hand fails no request", async () => {
    const { repeated } = await survive(async (load) => {
      await end(load, id, "SIGKILL");
      await cluster.until("its models to be back", everywhere);
    });
    expect(repeated).toBeGreaterThan(0);
  });

  test("frozen fails no request, and gets no new work after half a second", async () => {
    const given = (): number => assigned.get(id) ?? 0;
    const { repeated } = await survive(async (load) => {
      await withWorkInHand(load, `SIGSTOP to ${id}`, () => true, [id]);
      const frozenMs = load.nowMs;
      try {
        await cluster.until("half a second", () => load.nowMs - frozenMs >= 500);
        const before = given();
        await cluster.until("a second more", () => load.nowMs - frozenMs >= 1_500);
        expect(given() - before).toBe(0);
      } finally {
        cluster.kill(id, "SIGCONT");
      }
      load.mark(`SIGCONT to ${id}`);
      const before = given();
      await cluster.until("work for it again", () => given() > before);
    });
    expect(repeated).toBeGreaterThan(0);
  });

  test("told to end drains, and fails no request", async () => {
    await survive(async (load) => {
      await end(load, id, "SIGTERM");
      await cluster.until("its models to be back", everywhere);
    });
  });
});

describe.each(SCHEDULERS)("%s", (id) => {
  test.each([
    ["killed", "SIGKILL"],
    ["told to end", "SIGTERM"],
  ] as const)("%s with requests in its queues fails none", async (_, name) => {
    const owned = MODELS.filter((model) => rendezvousOwner(model, SCHEDULERS) === id);
    expect(owned).not.toEqual([]);
    await survive((load) => end(load, id, name));
  });
});

describe("the broker", () => {
  test.each([
    ["killed", "SIGKILL"],
    ["told to end", "SIGTERM"],
  ] as const)("%s fails no request", async (_, name) => {
    const { broker } = cluster;
    const { repeated } = await survive(async (load) => {
      const restarts = broker.restarts;
      await withWorkInHand(load, `${name} to nats-server`, () => broker.kill(name));
      await cluster.until("the next one", () => broker.restarts > restarts);
      await broker.ready();
    });
    // Told to end, it may still deliver all that it has taken; killed, it cannot.
    if (name === "SIGKILL") expect(repeated).toBeGreaterThan(0);
  });
});

describe("an ingress", () => {
  test("told to end answers what it has taken, takes no more, and ends", async () => {
    const id = INGRESSES[1];
    const port = cluster.ports[1];
    const restarts = cluster.restarts(id);
    const live = `http://${cluster.host}:${port}/v2/health/live`;
    const load = startLoad(1, 0);
    // Nothing is answered while the workers stand still, so that all is open when the drain begins.
    signal(WORKERS, "SIGSTOP");
    try {
      load.burst(BURST);
      await cluster.until("the burst taken", async () => {
        const { data } = await figuresOf(cluster.bus, "ingress", id);
        return data?.open === BURST;
      });
      expect(cluster.kill(id, "SIGTERM")).toBe(true);
      await cluster.until("it to take no more", () =>
        fetch(live).then(
          () => false,
          () => true,
        ),
      );
    } finally {
      signal(WORKERS, "SIGCONT");
    }
    await load.stop();
    expect(load.troubles).toEqual([]);
    await cluster.until(`${id} to be back`, async () => (await fetch(live)).ok);
    expect(cluster.restarts(id)).toBe(restarts + 1);
  });
});
