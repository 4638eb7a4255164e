/** onnxruntime on a thread of its own: batches in, outputs out, in order. */

import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";

export interface BatchWanted {
  readonly input: ArrayBuffer;
  readonly rows: number;
}

export interface BatchDone {
  readonly output: Float32Array<ArrayBuffer>;
}

interface Data {
  readonly file: string;
  readonly width: number;
  readonly threads: number;
  readonly device: string;
}

const { file, width, threads, device } = workerData as Data;
const session = await InferenceSession.create(file, {
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionProviders: [device],
});
const [inputName = ""] = session.inputNames;
const [outputName = ""] = session.outputNames;

parentPort?.on("message", ({ input, rows }: BatchWanted) => {
  const tensor = new Tensor("float32", new Float32Array(input), [rows, width]);
  void session.run({ [inputName]: tensor }).then((results) => {
    const output = results[outputName]?.data as Float32Array<ArrayBuffer>;
    parentPort?.postMessage({ output } satisfies BatchDone, [output.buffer]);
  });
});
