/** Starts the load's process, and speaks with it. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LoadCommand, LoadReport } from "./messages.ts";
import type { LoadSettings } from "./settings.ts";

const PROGRAM = fileURLToPath(new URL("load-process.ts", import.meta.url));

export type Progress = Extract<LoadReport, { readonly type: "progress" }>;

export class LoadProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<void>();
  readonly #began = Promise.withResolvers<number>();
  readonly #ended = Promise.withResolvers<void>();

  /** References are asked for at once; `ready` tells when the load can begin. */
  constructor(settings: LoadSettings, onProgress: (progress: Progress) => void) {
    for (const { promise } of [this.#ready, this.#began, this.#ended]) {
      promise.catch(() => undefined);
    }
    this.#child = fork(PROGRAM, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child.on("message", (said: LoadReport) => this.#heard(said, onProgress));
    this.#child.on("exit", (code, signal) => {
      this.#fail(new Error(`the load generator ended with ${signal ?? code}`));
    });
    this.#tell({ op: "prepare", settings });
  }

  /** Rejects where a reference is missing, and where the generator ends. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when every request and every job has its entry in the ledger. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** @returns Unix microseconds of the ledger's time 0. */
  begin(): Promise<number> {
    this.#tell({ op: "begin" });
    return this.#began.promise;
  }

  setFactor(value: number): void {
    this.#tell({ op: "factor", value });
  }

  setPoison(value: number): void {
    this.#tell({ op: "poison", value });
  }

  stop(): void {
    this.#tell({ op: "stop" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  #tell(command: LoadCommand): void {
    if (this.#child.connected) this.#child.send(command);
  }

  #heard(said: LoadReport, onProgress: (progress: Progress) => void): void {
    switch (said.type) {
      case "ready":
        this.#ready.resolve();
        break;
      case "began":
        this.#began.resolve(said.atUs);
        break;
      case "progress":
        onProgress(said);
        break;
      case "ended":
        this.#ended.resolve();
        break;
      case "failed":
        this.#fail(new Error(said.message));
        break;
    }
  }

  #fail(error: Error): void {
    this.#ready.reject(error);
    this.#began.reject(error);
    this.#ended.reject(error);
  }
}
