/** What onnxruntime reaches alone: no sockets, no queue, one batch after another. */

import type { Bench } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import type { BenchModel } from "./models.ts";
import { median } from "./rows.ts";

export interface AloneJob {
  readonly batch: number;
  readonly runMs: number;
}

const SCAN_MS = 400;
/** CUDA takes its time. */
const START_MS_MAX = 60_000;

export class Alone implements AsyncDisposable {
  readonly #child: Child;
  /** The size at which most rows a second come out. */
  readonly batch: number;

  private constructor(child: Child, batch: number) {
    this.#child = child;
    this.batch = batch;
  }

  /** `file` is the model's; threads and device are those of the worker. */
  static async start(
    model: BenchModel,
    file: string,
    { threads, device }: Pick<Bench, "threads" | "device">,
  ): Promise<Alone> {
    const dims = model.dims.join(",");
    const script = new URL("alone-process.ts", import.meta.url);
    const child = startChild("onnxruntime alone", script, [
      file,
      String(threads),
      model.datatype,
      dims,
      device,
    ]);
    await child.message(START_MS_MAX);
    let best = { batch: 1, perSecond: 0 };
    for (let batch = 1; batch <= model.maxBatch; batch *= 2) {
      const runs: number[] = [];
      for (let run = 0; run < 3; run++) runs.push(await runOn(child, { batch, runMs: SCAN_MS }));
      const perSecond = median(runs);
      if (perSecond > best.perSecond) best = { batch, perSecond };
    }
    return new Alone(child, best.batch);
  }

  /** Rows a second at the best batch size. */
  rowsPerSecond(runMs: number): Promise<number> {
    return runOn(this.#child, { batch: this.batch, runMs });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child.stop();
  }
}

async function runOn(child: Child, job: AloneJob): Promise<number> {
  const reply = child.message(job.runMs + 30_000);
  child.send(job);
  const { perSecond } = (await reply) as { readonly perSecond: number };
  return perSecond;
}
