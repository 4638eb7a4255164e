/** Scenarios that hold the cluster against the floor: what the features cost on the way. */

import type { BenchModelName } from "@millrace/examples";
import { type Bench, checkSame, COMPILE_MS, inTurns, type Scenario } from "./bench.ts";
import { startFloor } from "./floor.ts";
import type { LoadFigures } from "./load.ts";
import { type Pair, pairedRow, ratioAtLeast, ratioAtMost, type Row } from "./rows.ts";

const ROUNDS = 5;
const RUN_MS = 2_500;

interface Figures {
  readonly floor: LoadFigures;
  readonly value: LoadFigures;
}

/** Runs the model on both, once per number of connections. */
async function compare(
  bench: Bench,
  name: BenchModelName,
  connections: readonly number[],
): Promise<ReadonlyMap<number, readonly Figures[]>> {
  const model = bench.model(name);
  const cluster = await bench.cluster();
  await using floor = await startFloor(bench, model);
  const below = { host: cluster.host, port: floor.port };
  await checkSame(below, cluster, model);
  const pairs = new Map<number, readonly Figures[]>();
  for (const count of connections) {
    bench.say(`${name}: ${count} connections, ${ROUNDS} rounds of the floor and the cluster`);
    // What runs once per frame, and not once per request, compiles with few connections only.
    for (const target of [below, cluster]) await bench.load(target, model, count, COMPILE_MS);
    pairs.set(
      count,
      await inTurns(
        ROUNDS,
        () => bench.load(below, model, count, RUN_MS),
        () => bench.load(cluster, model, count, RUN_MS),
      ),
    );
  }
  return pairs;
}

const figuresOf = (
  pairs: readonly Figures[] | undefined,
  figure: "perSecond" | "p50Us" | "p99Us",
): Pair[] =>
  (pairs ?? []).map(({ floor, value }) => ({ floor: floor[figure], value: value[figure] }));

export const tiny: Scenario = {
  name: "tiny",
  async run(bench) {
    const pairs = await compare(bench, "tiny", [64, 1]);
    const name = "tiny model, 64 connections";
    const at64 = pairs.get(64);
    return [
      pairedRow({ name, unit: "req/s", goal: ratioAtLeast(0.6) }, figuresOf(at64, "perSecond")),
      pairedRow({ name: `${name}, p50`, unit: "us" }, figuresOf(at64, "p50Us")),
      pairedRow(
        { name: `${name}, p99`, unit: "us", goal: ratioAtMost(2) },
        figuresOf(at64, "p99Us"),
      ),
      pairedRow(
        { name: "tiny model, 1 connection, p50", unit: "us", goal: ratioAtMost(1.5) },
        figuresOf(pairs.get(1), "p50Us"),
      ),
    ];
  },
};

export const large: Scenario = {
  name: "large",
  async run(bench) {
    const pairs = await compare(bench, "echo600k", [8, 64]);
    return [...pairs].map(([count, each]): Row => {
      const name = `600 KB tensors, ${count} connections`;
      return pairedRow(
        { name, unit: "req/s", goal: ratioAtLeast(0.6) },
        figuresOf(each, "perSecond"),
      );
    });
  },
};
