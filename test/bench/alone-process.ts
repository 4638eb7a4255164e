/** Runs a model in batches of a given size for a given time. Arguments: file, threads, row's shape. */

import { InferenceSession, Tensor } from "onnxruntime-node";
import type { AloneJob } from "./alone.ts";

const [file = "", threads = "1", shape = ""] = process.argv.slice(2);
const dims = shape.split(",").map(Number);
const width = dims.reduce((product, dim) => product * dim, 1);
const session = await InferenceSession.create(file, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
});
const [inputName = ""] = session.inputNames;

async function measure({ batch, runMs }: AloneJob): Promise<number> {
  const data = Float32Array.from({ length: batch * width }, (_, at) => ((at * 31) % 201) / 100 - 1);
  const feeds = { [inputName]: new Tensor("float32", data, [batch, ...dims]) };
  await session.run(feeds);
  const fromMs = performance.now();
  let runs = 0;
  let nowMs = fromMs;
  while (nowMs < fromMs + runMs) {
    await session.run(feeds);
    runs++;
    nowMs = performance.now();
  }
  return (runs * batch * 1000) / (nowMs - fromMs);
}

process.on("message", (job: AloneJob) => {
  void measure(job).then((perSecond) => process.send?.({ perSecond }));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });
