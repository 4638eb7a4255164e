/**
 * Runs a model in batches of a given size for a given time. Arguments: the model's file, threads of
 * a run, the datatype and shape of a row of its only input, and the device.
 */

import { InferenceSession, Tensor } from "onnxruntime-node";
import type { AloneJob } from "./alone.ts";
import { rowOf } from "./models.ts";

const [file = "", threads = "1", type = "", shape = "", device = "cpu"] = process.argv.slice(2);
const datatype = type === "INT64" ? "INT64" : "FP32";
const dims = shape.split(",").map(Number);
const session = await InferenceSession.create(file, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  executionProviders: [device],
});
const [inputName = ""] = session.inputNames;
const row = rowOf({ datatype, dims });

function inputOf(batch: number): Tensor {
  const bytes = new Uint8Array(batch * row.length);
  for (let at = 0; at < batch; at++) bytes.set(row, at * row.length);
  return datatype === "FP32"
    ? new Tensor("float32", new Float32Array(bytes.buffer), [batch, ...dims])
    : new Tensor("int64", new BigInt64Array(bytes.buffer), [batch, ...dims]);
}

async function measure({ batch, runMs }: AloneJob): Promise<number> {
  const feeds = { [inputName]: inputOf(batch) };
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
