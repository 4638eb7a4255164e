/** When `up` has to end: by Ctrl-C, by a signal, or because what started it is gone. */

/** Closer signals are one: a terminal tells the whole group, and npm passes it on once more. */
const SAME_MS_MAX = 1_000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface EndingOptions {
  /** The first time: drain. */
  readonly began: () => void;
  /** Said again later: at once. */
  readonly hurried: () => void;
}

export class Ending implements Disposable {
  readonly #options: EndingOptions;
  readonly #controller = new AbortController();
  readonly #heard = (): void => this.#hear();
  #firstAtMs = 0;

  constructor(options: EndingOptions) {
    this.#options = options;
    for (const signal of SIGNALS) process.on(signal, this.#heard);
    // The channel to bootstrap.mjs, which closes even when that is killed with kill -9.
    process.on("disconnect", this.#heard);
    // Nobody reads any more: a closed pipe or terminal.
    process.stdout.on("error", this.#heard);
  }

  /** Aborted the first time. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#heard);
    process.off("disconnect", this.#heard);
    process.stdout.off("error", this.#heard);
  }

  #hear(): void {
    const nowMs = performance.now();
    if (!this.signal.aborted) {
      this.#firstAtMs = nowMs;
      this.#options.began();
      this.#controller.abort();
    } else if (nowMs - this.#firstAtMs > SAME_MS_MAX) {
      this.#options.hurried();
    }
  }
}
