/** Starts the load generator's process and gives it jobs, one at a time. */

import { type Child, startChild } from "./child.ts";

export interface LoadJob {
  readonly host: string;
  readonly port: number;
  /** A whole HTTP/1.1 request, sent again and again. */
  readonly request: Uint8Array;
  readonly connections: number;
  readonly warmMs: number;
  readonly runMs: number;
}

export interface LoadFigures {
  /** Answers with status 200 inside the measured time. */
  readonly requests: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export class Load implements AsyncDisposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(): Promise<Load> {
    const child = startChild("load", new URL("load-process.ts", import.meta.url), []);
    await child.message();
    return new Load(child);
  }

  /** @throws Error when a connection breaks, or when nothing was answered in time. */
  async run(job: LoadJob): Promise<LoadFigures> {
    const reply = this.#child.message(job.warmMs + job.runMs + 30_000);
    this.#child.send(job);
    const { figures, error } = (await reply) as { figures?: LoadFigures; error?: string };
    if (figures === undefined) throw new Error(`load generator: ${error}`);
    return figures;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child.stop();
  }
}
