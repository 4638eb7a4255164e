/**
 * The engine's end of its thread: questions by id, their answers, and what becomes of them when the
 * thread ends. The thread is never terminated: onnxruntime aborts the whole process when that
 * happens during a run. It ends by itself once it was asked to close and has finished.
 */

import { Worker } from "node:worker_threads";
import { fault } from "@millrace/protocol";
import { assert, present } from "@millrace/std";
import { packRun, unpackOutputs } from "./crossing.ts";
import type { FromThread, Question, ThreadAnswer, ThreadOptions, ToThread } from "./messages.ts";

type State =
  | { readonly kind: "open" }
  | { readonly kind: "closing" }
  /** It ended without being asked; nothing can run any more. */
  | { readonly kind: "lost"; readonly reason: string };

export class ThreadLink {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answer: ThreadAnswer) => void>();
  readonly #ended: Promise<void>;
  #state: State = { kind: "open" };
  #nextId = 1;
  #answered = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (message: FromThread) => {
      if (!("type" in message)) {
        const { id, answer } = unpackOutputs(message);
        this.#settle(id, answer);
      } else if (message.type === "answer") this.#settle(message.id, message.answer);
    });
    worker.on("error", (error) => this.#lose(String(error)));
    this.#ended = new Promise((resolve) => {
      worker.on("exit", (code) => {
        this.#lose(`exit code ${code}`);
        resolve();
      });
    });
  }

  /** The thread with its device started, or the reason why the device does not start. */
  static async open(options: ThreadOptions): Promise<ThreadLink | string> {
    const worker = new Worker(new URL("./thread.ts", import.meta.url), { workerData: options });
    const link = new ThreadLink(worker);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    worker.once("message", (message: FromThread) => {
      const isRefused = "type" in message && message.type === "refused";
      resolve(isRefused ? message.reason : undefined);
    });
    void link.#ended.then(() => {
      resolve(link.#state.kind === "lost" ? link.#state.reason : "the thread ended");
    });
    const reason = await promise;
    if (reason === undefined) return link;
    await link.close();
    return reason;
  }

  /** Questions answered so far: a busy thread whose count stands still hangs. */
  get answered(): number {
    return this.#answered;
  }

  /** Why the thread ended without being asked. */
  get lostReason(): string | undefined {
    return this.#state.kind === "lost" ? this.#state.reason : undefined;
  }

  ask(question: Question, moved: ArrayBuffer[] = []): Promise<ThreadAnswer> {
    assert(this.#state.kind !== "closing", "an engine was asked after it was closed");
    if (this.#state.kind === "lost") return Promise.resolve(lost(this.#state.reason));
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<ThreadAnswer>();
    this.#waiting.set(id, resolve);
    const message: ToThread =
      question.type === "run" ? packRun(id, question) : { id, command: question };
    this.#worker.postMessage(message, moved);
    return promise;
  }

  /** Everything that was asked is answered first. */
  async close(): Promise<void> {
    if (this.#state.kind === "open") {
      this.#state = { kind: "closing" };
      this.#worker.postMessage({ close: true } satisfies ToThread, []);
    }
    await this.#ended;
  }

  #settle(id: number, answer: ThreadAnswer): void {
    const resolve = present(this.#waiting.get(id), "the question of an engine's answer");
    this.#waiting.delete(id);
    this.#answered++;
    resolve(answer);
  }

  #lose(reason: string): void {
    if (this.#state.kind === "open") this.#state = { kind: "lost", reason };
    for (const resolve of this.#waiting.values()) resolve(lost(reason));
    this.#waiting.clear();
  }
}

const lost = (reason: string): ThreadAnswer => ({
  type: "failed",
  fault: fault("EXECUTION_FAILED", `the engine's thread ended: ${reason}`),
  fatal: true,
  computeUs: 0,
});
