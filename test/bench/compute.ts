/** Scenarios in which the model is the work: the cluster against onnxruntime alone. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BenchModelName } from "@millrace/examples";
import { Alone } from "./alone.ts";
import { COMPILE_MS, inTurns, type Scenario } from "./bench.ts";
import { startFloor } from "./floor.ts";
import { inferOnce, type Target } from "./requests.ts";
import { type Pair, pairedRow, ratioAtLeast } from "./rows.ts";

const ROUNDS = 5;
const RUN_MS = 4_000;
const ALONE_MS = 2_000;

interface Saturated {
  readonly name: BenchModelName;
  readonly title: string;
  /** Enough that the next batch always waits. */
  readonly connections: number;
  /** Of what onnxruntime reaches alone. */
  readonly least: number;
  /** Measures the floor as well: how far the hops alone, without any feature, fall short. */
  readonly withFloor?: boolean;
}

function saturated({ name, title, connections, least, withFloor = false }: Saturated): Scenario {
  return {
    name,
    async run(bench) {
      const model = bench.model(name);
      const cluster = await bench.cluster();
      await inferOnce(cluster, model);
      const file = join(bench.directory, `${name}.onnx`);
      await writeFile(file, model.file);
      bench.say(`${name}: onnxruntime alone at each batch size`);
      await using alone = await Alone.start(model, file, bench);
      const against = async (target: Target): Promise<readonly Pair[]> => {
        await bench.load(target, model, connections, COMPILE_MS);
        bench.say(`${name}: batches of ${alone.batch} alone, ${connections} connections, in turns`);
        return inTurns(
          ROUNDS,
          () => alone.rowsPerSecond(ALONE_MS),
          async () => (await bench.load(target, model, connections, RUN_MS)).perSecond,
        );
      };
      const goal = ratioAtLeast(least);
      const rows = [pairedRow({ name: title, unit: "rows/s", goal }, await against(cluster))];
      if (withFloor) {
        await using floor = await startFloor(bench, model);
        const pairs = await against({ host: cluster.host, port: floor.port });
        rows.push(pairedRow({ name: `${title}, no features`, unit: "rows/s" }, pairs));
      }
      return rows;
    },
  };
}

export const mlp = saturated({
  name: "mlp10m",
  title: "10 MFLOP MLP at saturation",
  connections: 256,
  least: 0.85,
  withFloor: true,
});
export const encoder = saturated({
  name: "encoder1g",
  title: "1 GFLOP encoder at saturation",
  connections: 64,
  least: 0.95,
});
