/**
 * Every kind of fault once, in a real cluster under light load: it is felt while it lasts, it is
 * over when it says so, and no answer is ever wrong (I1, I2).
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readGround } from "@millrace/faults";
import { ERRORS } from "@millrace/protocol";
import { present } from "@millrace/std";
import { digestOf } from "@millrace/store";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { Load, type Question } from "../support/load.ts";
import { figuresOf } from "../support/micro.ts";
import type { Order, Orders } from "../support/orders.ts";
import { ANYBODY, Trial } from "../support/trial.ts";

const PER_SECOND = 30;
const TIMEOUT_MS = 1_000;
const SECOND_US = 1_000_000;
/** A fault that a test heals itself. */
const LONG_US = 30 * SECOND_US;
const MODEL = affine("double", { factor: 2, offset: 1 });

let cluster: Cluster;
let orders: Orders;
let trial: Trial;
let load: Load;

function question(number: number): Question {
  const values = [number, number + 1, number + 2, number + 3];
  return {
    model: "double",
    inputs: [rows4(values)],
    expected: () => values.map((value) => 2 * value + 1),
    // Every device has its part: batch work goes to the processors first.
    options: { parameters: { priority: number % 2 === 0 ? "realtime" : "batch" } },
  };
}

beforeAll(async () => {
  cluster = await startCluster({
    chaos: true,
    env: EMULATED,
    models: [MODEL],
  });
  trial = new Trial(cluster);
  orders = trial.orders;
  await trial.awaitWell("gpu-worker-1");
  const target = { url: cluster.url, key: cluster.key };
  load = new Load({ target, perSecond: PER_SECOND, timeoutMs: TIMEOUT_MS, question });
});

afterAll(async () => {
  await load?.stop();
  await cluster?.[Symbol.asyncDispose]();
});

describe("processes", () => {
  const durationUs = 400_000;
  test.each(["kill", "restart"] as const)("%s", async (kind) => {
    const felt = trial.startedAgain("cpu-worker-1");
    expect(
      await trial.feel({ order: { kind, target: { id: "cpu-worker-1" }, durationUs }, felt }),
    ).toMatch(/healed|expired|target-gone/);
  });

  test("pause", async () => {
    const target = { id: "gpu-worker-1" };
    expect(
      await trial.feel({
        order: { kind: "pause", target, durationUs: LONG_US },
        felt: async () => {
          // A process that runs is stopped when it is next looked at.
          await cluster.until("it to stop", () => trial.stateOf("gpu-worker-1") === "T");
          await trial.silent("gpu-worker-1")();
        },
      }),
    ).toBe("healed");
    expect(trial.stateOf("gpu-worker-1")).not.toBe("T");
  });

  test("slow-cpu", async () => {
    const seen = new Set<string>();
    const options = { share: 0.5, periodUs: 100_000 };
    expect(
      await trial.feel({
        order: { kind: "slow-cpu", target: { id: "cpu-worker-1" }, durationUs: LONG_US, options },
        felt: () =>
          cluster.until("both states", () => {
            seen.add(trial.stateOf("cpu-worker-1") === "T" ? "stopped" : "running");
            return seen.size === 2;
          }),
      }),
    ).toBe("healed");
    expect(trial.stateOf("cpu-worker-1")).not.toBe("T");
  });

  test("the broker killed", async () => {
    const before = cluster.broker.restarts;
    expect(
      await trial.feel({
        order: { kind: "kill", target: { id: "nats-1" }, durationUs },
        felt: () => cluster.until("another broker", () => cluster.broker.restarts > before, 5_000),
      }),
    ).toMatch(/healed|expired|target-gone/);
  });

  test("all-workers-gone", async () => {
    expect(
      await trial.feel({
        order: { kind: "all-workers-gone", target: { role: "worker" }, durationUs: LONG_US },
        felt: () =>
          cluster.until("a refusal", async () => {
            const beganMs = performance.now();
            const { status } = await cluster.fetch("/v2/models/double/infer", {
              method: "POST",
              body: JSON.stringify({ inputs: [rows4([1, 2, 3, 4])], parameters: { timeout: 5e5 } }),
            });
            return status === 503 && performance.now() - beganMs < 600;
          }),
      }),
    ).toBe("healed");
  });
});

describe("links", () => {
  const target = { id: "cpu-worker-1" };
  const durationUs = LONG_US;
  const link = (kind: Order["kind"], options: Order["options"] = {}): Order => ({
    kind,
    target,
    durationUs,
    options,
  });

  test("latency", async () =>
    expect(
      await trial.feel({
        order: link("latency", { delayUs: 200_000, direction: "to" }),
        felt: async () => {
          const beganMs = performance.now();
          await trial.ping("cpu-worker", "cpu-worker-1");
          expect(performance.now() - beganMs).toBeGreaterThan(190);
        },
      }),
    ).toBe("healed"));

  test.each([
    ["loss", "lost", { probability: 0.3, direction: "from" }],
    ["loss", "stalled", { as: "stall", probability: 0.3 }],
    ["duplicate", "repeated", { probability: 0.5 }],
    ["reorder", "swapped", { probability: 0.5, waitUs: 200_000 }],
    ["reset", "resets", {}],
  ] as const)("%s: %s", async (kind, counter, options) => {
    const felt = trial.counted("cpu-worker-1", counter);
    expect(await trial.feel({ order: link(kind, options), felt })).toBe("healed");
  });

  test.each(["from", "both"])("blackhole, %s", async (direction) =>
    expect(
      await trial.feel({
        order: link("blackhole", { direction }),
        felt: trial.silent("cpu-worker-1"),
      }),
    ).toBe("healed"),
  );

  test("blackhole, to: it takes itself for lost, and comes back", async () =>
    expect(
      await trial.feel({
        order: link("blackhole", { direction: "to" }),
        felt: async () => {
          const { connections } = await trial.linkOf("cpu-worker-1");
          const another = async (): Promise<boolean> =>
            (await trial.linkOf("cpu-worker-1")).connections > connections;
          await cluster.until("another connection", another, 5_000);
        },
      }),
    ).toBe("healed"));

  test("half-open", async () =>
    expect(await trial.feel({ order: link("half-open"), felt: trial.silent("cpu-worker-1") })).toBe(
      "healed",
    ));

  test("slow-link", async () =>
    expect(
      await trial.feel({
        order: link("slow-link", { bytesPerSecond: 300, direction: "from" }),
        felt: () =>
          cluster.until(
            "few heartbeats",
            async () => (await trial.beatsIn("cpu-worker-1", 600)) < 4,
          ),
      }),
    ).toBe("healed"));

  test("slow-consumer", async () =>
    expect(
      await trial.feel({
        order: link("slow-consumer", { bytesPerSecond: 16 }),
        felt: async () => {
          const { connections } = await trial.linkOf("cpu-worker-1");
          const another = async (): Promise<boolean> =>
            (await trial.linkOf("cpu-worker-1")).connections > connections;
          await cluster.until("the connection to be given up", another, 8_000);
        },
      }),
    ).toBe("healed"));
});

describe("storage", () => {
  const target = { id: "nats-1" };
  const durationUs = LONG_US;
  let written = 0;
  /** New bytes each time: what is there already is not written again. */
  const isStored = async (): Promise<boolean> =>
    (await cluster.store.blobs.put(new Uint8Array(4096).fill(written++))).ok;

  test("disk-full", async () => {
    expect(
      await trial.feel({
        order: { kind: "disk-full", target, durationUs },
        // The broker reads its configuration again when it comes to it, both times.
        felt: () => cluster.until("a refusal", async () => !(await isStored())),
      }),
    ).toBe("healed");
    await cluster.until("room", isStored);
  });

  test("corrupt-blob", async () => {
    const digest = await digestOf(MODEL.file);
    const read = async (): Promise<string> => {
      const blob = await cluster.store.blobs.read(digest);
      return blob.ok ? "whole" : blob.error.code;
    };
    expect(
      await trial.feel({
        order: { kind: "corrupt-blob", target, durationUs, options: { digest } },
        felt: async () => expect(await read()).toBe("DIGEST_MISMATCH"),
      }),
    ).toBe("healed");
    expect(await read()).toBe("whole");
  });

  test("corrupt-cache", async () => {
    const directory = present(
      readGround(present(cluster.stage, "the stage").groundFile).members.find(
        ({ id }) => id === "cpu-worker-1",
      ),
      "cpu-worker-1",
    ).cacheDirectory;
    const damaged = (): boolean =>
      readdirSync(present(directory, "its cache")).some((name) => {
        const bytes = readFileSync(join(directory ?? "", name));
        return createHash("sha256").update(bytes).digest("hex") !== name;
      });
    expect(damaged()).toBe(false);
    expect(
      await trial.feel({
        order: { kind: "corrupt-cache", target: { id: "cpu-worker-1" }, durationUs },
        felt: async () => {
          expect(damaged()).toBe(true);
          // I8: a process that begins with the damaged file does not serve it.
          cluster.kill("cpu-worker-1");
          await trial.awaitWell("cpu-worker-1");
        },
      }),
    ).toBe("healed");
    expect(damaged()).toBe(false);
  });
});

describe("inside a process", () => {
  const durationUs = LONG_US;

  test("gpu-lost", async () => {
    const felt = trial.startedAgain("gpu-worker-1");
    const order = { kind: "gpu-lost", target: { id: "gpu-worker-1" }, durationUs } as const;
    expect(await trial.feel({ order, felt })).toMatch(/healed|expired|target-gone/);
  });

  test("gpu-oom", async () =>
    expect(
      await trial.feel({
        order: { kind: "gpu-oom", target: { id: "gpu-worker-1" }, durationUs },
        felt: () =>
          cluster.until("the want of memory", async () => {
            const { num_errors: errors = 0 } = await figuresOf(
              cluster.bus,
              "gpu-worker",
              "gpu-worker-1",
            );
            return errors > 0;
          }),
      }),
    ).toBe("healed"));

  test("clock-skew, and log-sink-blocked: the lines wait", async () => {
    const skewUs = 3_600 * SECOND_US;
    const skewed = (): boolean =>
      cluster
        .lines("scheduler-1")
        .some((line) => Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? "") > Date.now() + 3e6);
    const target = { id: "scheduler-1" };
    const order = { kind: "log-sink-blocked", target, durationUs } as const;
    const blocked = await orders.inject(order, ANYBODY);
    expect(
      await trial.feel({
        order: {
          kind: "clock-skew",
          target: { id: "scheduler-1" },
          durationUs,
          options: { skewUs },
        },
        felt: async () => {
          await sleep(300);
          expect(skewed()).toBe(false);
          await orders.heal(blocked.id);
          await cluster.until("the lines", skewed, 3_000);
          // It logged more than fits, went on, and says what it dropped.
          const dropped = (): boolean =>
            cluster.lines("scheduler-1").some((line) => line.includes("log lines were dropped"));
          await cluster.until("what was dropped", dropped, 3_000);
        },
      }),
    ).toBe("healed");
  });

  test("spot-notice", async () => {
    const felt = trial.startedAgain("cpu-worker-1");
    const order = { kind: "spot-notice", target: { id: "cpu-worker-1" }, durationUs } as const;
    expect(await trial.feel({ order: { ...order, durationUs: 3 * SECOND_US }, felt })).toMatch(
      /healed|expired|target-gone/,
    );
  });
});

test("revoke-credentials", async () =>
  expect(
    await trial.feel({
      order: {
        kind: "revoke-credentials",
        target: { id: "cpu-worker-1" },
        durationUs: LONG_US,
      },
      felt: async () => {
        await trial.silent("cpu-worker-1")();
        expect(await trial.beatsIn("gpu-worker-1", 400)).toBeGreaterThan(0);
      },
    }),
  ).toBe("healed"));

test("an order that may not be, and a plan, touch nobody", async () => {
  const fault = { kind: "kill", target: { id: "cpu-worker-1" }, durationUs: SECOND_US };
  const before = orders.events.length;
  const refused = await orders.ask({ v: 1, op: "inject", fault });
  expect(refused).toMatchObject({ ok: false, error: { code: "FAULT_BLAST_RADIUS" } });
  const planned = await orders.ask({ fault, blast: ANYBODY });
  expect(planned).toMatchObject({ ok: true, targets: ["cpu-worker-1"] });
  await sleep(200);
  expect(orders.events.slice(before).map(({ event }) => event)).toEqual(["refused"]);
});

test("a chaos-monkey that is killed leaves nothing behind", async () => {
  const target = { id: "cpu-worker-1" };
  await orders.inject({ kind: "pause", target, durationUs: LONG_US }, ANYBODY);
  await cluster.until("it to stop", () => trial.stateOf("cpu-worker-1") === "T");
  cluster.kill("chaos-monkey-1");
  await cluster.until("it to go on", () => trial.stateOf("cpu-worker-1") !== "T", 3_000);
  expect(await trial.beatsIn("cpu-worker-1", 500)).toBeGreaterThan(0);
  await trial.awaitWell("cpu-worker-1");
});

test("every request had one answer, none a wrong one, and all is well at the end", async () => {
  const calmFrom = load.entries.length;
  await sleep(1_000);
  await load.stop();
  const codes = Object.keys(ERRORS).join("|");
  // Nobody is blamed for workers that all are killed: two may have run the same input.
  const refused = new RegExp(`: 50\\d (?:${codes}): `);
  const wrong = load.troubles.filter((line) => !refused.test(line) && !/of \d+ in all/.test(line));
  expect(wrong).toEqual([]);
  expect(load.entries.slice(calmFrom).filter(({ trouble }) => trouble !== undefined)).toEqual([]);
});
