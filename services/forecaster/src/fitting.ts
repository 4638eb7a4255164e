/** Asks the fitting thread, one question at a time; a thread that ends is replaced. */

import { Worker } from "node:worker_threads";
import type { Forecast, ForecastOptions } from "@millrace/forecasting";
import type { Series } from "@millrace/load-facts";

export interface FitQuestion {
  readonly id: number;
  readonly history: Series;
  readonly options: FitOptions;
}

/** Known events, and what was fitted elsewhere. */
export type FitOptions = Pick<ForecastOptions, "events" | "supplied" | "compared">;

export interface FitAnswer {
  readonly id: number;
  readonly forecast: Forecast;
  readonly fitUs: number;
}

const THREAD = new URL("./fit-thread.ts", import.meta.url);
/** A fit is well below a second; one that takes this long is lost. */
const FIT_MS_MAX = 30_000;

export class Fitting implements AsyncDisposable {
  #thread: Worker | undefined;
  #next = 1;
  #turn: Promise<unknown> = Promise.resolve();

  /** Rejects with what ended the thread, or when it took too long. */
  fit(history: Series, options: FitOptions): Promise<FitAnswer> {
    const mine = this.#turn.then(() => this.#ask(history, options));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.terminate();
  }

  async #ask(history: Series, options: FitOptions): Promise<FitAnswer> {
    const thread = (this.#thread ??= new Worker(THREAD));
    thread.unref();
    const id = this.#next++;
    const answered = Promise.withResolvers<FitAnswer>();
    const late = setTimeout(() => answered.reject(new Error("the fit took too long")), FIT_MS_MAX);
    const ended = (): void => answered.reject(new Error("the fitting thread ended"));
    thread.on("message", answered.resolve).on("error", answered.reject).on("exit", ended);
    thread.postMessage({ id, history, options } satisfies FitQuestion, []);
    try {
      return await answered.promise;
    } catch (error) {
      this.#thread = undefined;
      await thread.terminate();
      throw error;
    } finally {
      clearTimeout(late);
      thread.off("message", answered.resolve).off("error", answered.reject).off("exit", ended);
    }
  }
}
