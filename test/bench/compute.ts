/** Scenarios in which the model is the work: the cluster against onnxruntime alone. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BenchModelName } from "@millrace/examples";
import { Alone } from "./alone.ts";
import { inTurns, type Scenario } from "./bench.ts";
import { inferOnce } from "./requests.ts";
import { pairedRow, ratioAtLeast } from "./rows.ts";

const ROUNDS = 3;
const RUN_MS = 4_000;
const ALONE_MS = 2_000;
/** The services are compiled by then, as onnxruntime is warm when its best batch is found. */
const COMPILE_MS = 4_000;

/** Enough connections that the next batch always waits. */
function saturated(
  name: BenchModelName,
  title: string,
  connections: number,
  least: number,
): Scenario {
  return {
    name,
    async run(bench) {
      const model = bench.model(name);
      const cluster = await bench.cluster();
      await inferOnce(cluster, model);
      const file = join(bench.directory, `${name}.onnx`);
      await writeFile(file, model.file);
      bench.say(`${name}: onnxruntime alone at each batch size`);
      await using alone = await Alone.start(model, file, bench.threads);
      await bench.load(cluster, model, connections, COMPILE_MS);
      bench.say(`${name}: batches of ${alone.batch} alone, ${connections} connections, in turns`);
      const pairs = await inTurns(
        ROUNDS,
        () => alone.rowsPerSecond(ALONE_MS),
        async () => (await bench.load(cluster, model, connections, RUN_MS)).perSecond,
      );
      return [pairedRow({ name: title, unit: "rows/s", goal: ratioAtLeast(least) }, pairs)];
    },
  };
}

export const mlp = saturated("mlp10m", "10 MFLOP MLP at saturation", 192, 0.85);
export const encoder = saturated("encoder1g", "1 GFLOP encoder at saturation", 64, 0.95);
