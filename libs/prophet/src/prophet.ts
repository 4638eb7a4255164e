/**
 * Prophet as a service of this process: one fit at a time, in a thread that is replaced in time.
 */

import { Worker } from "node:worker_threads";
import { fail, ok, type Result } from "@millrace/std";
import { type Fault, fault } from "@millrace/protocol";
import type { FitOrder } from "./fit.ts";
import type { ThreadAnswer } from "./thread.ts";

export interface ProphetOptions {
  /** Fits after which the thread is replaced: at 0.3 MB each, 30 MB by default. */
  readonly fitsMax?: number;
  /** Longest that one fit may take; the thread is then given up. */
  readonly timeoutMs?: number;
}

/** Orders that may wait for the thread; one more is refused. */
const WAITING_MAX = 1_000;

export class ProphetThread implements AsyncDisposable {
  readonly #fitsMax: number;
  readonly #timeoutMs: number;
  #thread: { readonly worker: Worker; fits: number } | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor({ fitsMax = 100, timeoutMs = 30_000 }: ProphetOptions = {}) {
    this.#fitsMax = fitsMax;
    this.#timeoutMs = timeoutMs;
  }

  /** The values ahead; fails where there is no fit, it took too long, or too many wait. */
  async forecast(order: FitOrder): Promise<Result<number[], Fault>> {
    if (this.#waiting === WAITING_MAX) {
      return fail(fault("OVERLOADED", `${WAITING_MAX} forecasts wait for Prophet`));
    }
    this.#waiting++;
    const answer = this.#last.then(() => this.#run(order));
    this.#last = answer;
    try {
      return await answer;
    } finally {
      this.#waiting--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#replace();
  }

  async #run(order: FitOrder): Promise<Result<number[], Fault>> {
    if (this.#thread !== undefined && this.#thread.fits >= this.#fitsMax) await this.#replace();
    this.#thread ??= {
      worker: new Worker(new URL("./thread.ts", import.meta.url)),
      fits: 0,
    };
    this.#thread.fits++;
    const answer = await exchange(this.#thread.worker, order, this.#timeoutMs);
    if (answer.ok) return ok(answer.values);
    await this.#replace();
    return fail(fault("EXECUTION_FAILED", `Prophet: ${inOneLine(answer.message)}`));
  }

  async #replace(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.worker.terminate();
  }
}

const MESSAGE_LENGTH_MAX = 160;

/** What the optimiser says, without the stack of WebAssembly functions that follows. */
const inOneLine = (message: string): string =>
  message
    .split(/\n\s+at /, 1)
    .join("")
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, MESSAGE_LENGTH_MAX);

/** One order and its answer. Whatever else the thread does ends the wait, too. */
async function exchange(worker: Worker, order: FitOrder, timeoutMs: number): Promise<ThreadAnswer> {
  const { promise, resolve } = Promise.withResolvers<ThreadAnswer>();
  const onError = (error: Error): void => resolve({ ok: false, message: error.message });
  const onExit = (code: number): void => resolve({ ok: false, message: `exit ${code}` });
  const late = setTimeout(
    () => resolve({ ok: false, message: `no fit within ${timeoutMs} ms` }),
    timeoutMs,
  );
  worker.once("message", resolve).once("error", onError).once("exit", onExit);
  try {
    worker.postMessage(order, []);
    return await promise;
  } finally {
    clearTimeout(late);
    worker.off("message", resolve).off("error", onError).off("exit", onExit);
  }
}
