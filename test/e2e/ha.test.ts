/**
 * Three NATS servers of which any may be lost: requests go on with the others, and the registry is
 * still written and read.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { setLoaded } from "@millrace/store";
import { present } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { Load } from "../support/load.ts";

const PER_SECOND = 100;
/** The bound that a single server's restart has too. */
const TIMEOUT_MS = 2_000;
/** An election of JetStream's leader takes 4 to 9 s, and is not waited for by any request. */
const WRITE_MS_MAX = 15_000;

let cluster: Cluster;

beforeAll(async () => {
  const models = [affine("double", { factor: 2, offset: 1 })];
  cluster = await startCluster({ ha: true, env: EMULATED, counts: { ingress: 2 }, models });
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const startLoad = (): Load =>
  new Load({
    target: { url: cluster.url, key: cluster.key },
    perSecond: PER_SECOND,
    timeoutMs: TIMEOUT_MS,
    question: (number) => {
      const values = [number, number + 1, number + 2, number + 3];
      const expected = values.map((value) => 2 * value + 1);
      return { model: "double", inputs: [rows4(values)], expected: () => expected };
    },
  });

describe("with three NATS servers", () => {
  test("kill -9 of each in turn, the leader first, fails no request", async () => {
    const brokers = present(cluster.brokers, "brokers");
    const leader = present(await brokers.leader(), "leader");
    const load = startLoad();
    await sleep(1_000);
    for (const server of [leader, ...brokers.servers.filter((other) => other !== leader)]) {
      load.mark(`kill -9 of ${server.url}`);
      const before = server.restarts;
      server.kill("SIGKILL");
      await cluster.until("its restart", () => server.restarts > before);
      await server.ready();
      await sleep(2_500);
    }
    await load.stop();
    expect(load.entries.length).toBeGreaterThan(500);
    expect(load.troubles).toEqual([]);
  });

  test("a write to the registry outlives the loss of the leader", async () => {
    const brokers = present(cluster.brokers, "brokers");
    await cluster.until("a leader", async () => (await brokers.leader()) !== undefined);
    present(await brokers.leader(), "leader").kill("SIGKILL");
    await cluster.until(
      "a write",
      async () => {
        const written = await cluster.store.registry.update("double", (record) =>
          setLoaded(present(record, "double"), false),
        );
        return written.ok;
      },
      WRITE_MS_MAX,
    );
    await cluster.modelReady("double", false);
    await cluster.setLoaded("double", true);
    await cluster.modelReady("double");
    expect(cluster.brokers?.servers.map(({ restarts }) => restarts > 0)).toContain(true);
  });
});
