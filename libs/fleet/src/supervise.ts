/** Keeps one child process running: starts it, restarts it with backoff, and ends it in time. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { assert } from "@millrace/std";
import { type Backoff, DEFAULT_BACKOFF, restartDelayMs } from "./backoff.ts";
import { guardProcess, releaseProcess } from "./guard.ts";
import { splitLines } from "./lines.ts";

/** `EX_CONFIG` of sysexits: the child refused its configuration, and would refuse it again. */
export const EXIT_MISCONFIGURED = 78;
const GRACE_MS_DEFAULT = 5_000;
/** Output is read on for this long after an exit, so that a child's last words are not lost. */
const OUTPUT_MS_MAX = 250;

export interface SuperviseOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment; this process's own where absent. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly backoff?: Backoff;
  /** Until the first start. */
  readonly startInMs?: number;
  /** Whole lines of output. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
  readonly onEvent?: (event: ChildEvent) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type EndReason = "stopped" | "misconfigured" | "unstartable";

export type ChildEvent =
  | { readonly type: "started"; readonly name: string; readonly pid: number }
  /** It ended by itself, and starts again after the delay. */
  | {
      readonly type: "failed";
      readonly name: string;
      readonly exit: Exit;
      readonly restartInMs: number;
    }
  | {
      readonly type: "ended";
      readonly name: string;
      readonly reason: EndReason;
      readonly detail: string;
    };

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** Each state owns what it holds; there is nothing to close in any other. */
type State =
  | { readonly kind: "running"; readonly child: Child; readonly startedAtMs: number }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "stopping"; readonly child: Child }
  | { readonly kind: "ended"; readonly reason: EndReason; readonly detail: string };

export class Supervised implements AsyncDisposable {
  readonly name: string;
  readonly #options: SuperviseOptions;
  readonly #backoff: Backoff;
  #state: State;
  #failures = 0;
  #restarts = 0;
  #reading = true;

  constructor(options: SuperviseOptions) {
    this.name = options.name;
    this.#options = options;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#state = { kind: "ended", reason: "stopped", detail: "not started" };
    const { startInMs = 0 } = options;
    if (startInMs > 0) this.#startLater(startInMs);
    else this.#start();
  }

  get state(): State["kind"] {
    return this.#state.kind;
  }

  /** Undefined while there is no process. */
  get pid(): number | undefined {
    const state = this.#state;
    return state.kind === "running" || state.kind === "stopping" ? state.child.pid : undefined;
  }

  /** Starts after the first one. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Why it is not restarted any more; undefined while it is supervised. */
  get end(): { readonly reason: EndReason; readonly detail: string } | undefined {
    const state = this.#state;
    return state.kind === "ended" ? { reason: state.reason, detail: state.detail } : undefined;
  }

  /** Sends a signal to the running child; false when none is running. It is restarted as usual. */
  kill(signal: NodeJS.Signals = "SIGKILL"): boolean {
    return this.#state.kind === "running" && this.#state.child.kill(signal);
  }

  /** Whether what the child writes is read; what it does when nobody reads is its own affair. */
  set reading(reading: boolean) {
    this.#reading = reading;
    const state = this.#state;
    if (state.kind === "running" || state.kind === "stopping") this.#readOrNot(state.child);
  }

  /**
   * SIGTERM, then SIGKILL to its whole process group after the grace. Resolves once it is gone; a
   * second call joins the first.
   */
  async stop(graceMs: number = GRACE_MS_DEFAULT): Promise<void> {
    const state = this.#state;
    switch (state.kind) {
      case "ended":
        return;
      case "waiting":
        clearTimeout(state.timer);
        this.#end("stopped", "stopped between two starts");
        return;
      case "running":
        this.#state = { kind: "stopping", child: state.child };
        state.child.kill("SIGTERM");
        break;
      case "stopping":
        break;
    }
    const { child } = state;
    const killed = setTimeout(() => killGroup(child.pid), graceMs);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    clearTimeout(killed);
    const outputEnded = child.stdout.closed && child.stderr.closed;
    if (!outputEnded) await Promise.race([once(child, "close"), delay(OUTPUT_MS_MAX)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #start(): void {
    const { command, args, env, cwd, onLine, name } = this.#options;
    // A group of its own: a terminal's Ctrl-C goes to the supervisor alone, which ends its children
    // in order; and whatever the child leaves behind can be swept with it.
    const child: Child = spawn(command, args, {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      ...(env === undefined ? {} : { env }),
      ...(cwd === undefined ? {} : { cwd }),
    });
    for (const stream of ["stdout", "stderr"] as const) {
      const lines = splitLines((line) => onLine?.(line, stream));
      child[stream].on("data", lines.push).on("end", lines.end);
    }
    this.#readOrNot(child);
    this.#state = { kind: "running", child, startedAtMs: performance.now() };
    child.once("error", (error: NodeJS.ErrnoException) => this.#unstartable(child, error));
    child.once("exit", (code, signal) => this.#exited(child, { code, signal }));
    if (child.pid === undefined) return;
    guardProcess(child.pid);
    this.#options.onEvent?.({ type: "started", name, pid: child.pid });
  }

  #startLater(inMs: number, before?: () => void): void {
    const timer = setTimeout(() => {
      before?.();
      this.#start();
    }, inMs);
    this.#state = { kind: "waiting", timer };
  }

  #readOrNot({ stdout, stderr }: Child): void {
    for (const stream of [stdout, stderr]) {
      if (this.#reading) stream.resume();
      else stream.pause();
    }
  }

  #unstartable(child: Child, error: NodeJS.ErrnoException): void {
    // A child that runs reports errors here too (a signal that could not be sent).
    if (child.pid !== undefined) return;
    const { code } = error;
    // No such command or no permission stays so; a machine that is out of processes recovers.
    if (this.#state.kind !== "running" || code === "ENOENT" || code === "EACCES") {
      this.#end("unstartable", error.message);
    } else {
      this.#restartLater({ code: null, signal: null }, this.#state.startedAtMs);
    }
  }

  #exited(child: Child, exit: Exit): void {
    const { pid } = child;
    assert(pid !== undefined, "a process that ended has an id");
    // Before the id is released, or it might be another's by then.
    killGroup(pid);
    releaseProcess(pid);
    const state = this.#state;
    if (state.kind === "stopping") return this.#end("stopped", describeExit(exit));
    assert(state.kind === "running", `a child ended while ${state.kind}`);
    if (exit.code === EXIT_MISCONFIGURED) return this.#end("misconfigured", describeExit(exit));
    this.#restartLater(exit, state.startedAtMs);
  }

  #restartLater(exit: Exit, startedAtMs: number): void {
    const healthy = performance.now() - startedAtMs >= this.#backoff.healthyAfterMs;
    this.#failures = healthy ? 1 : this.#failures + 1;
    const restartInMs = restartDelayMs(this.#failures, this.#backoff);
    this.#startLater(restartInMs, () => void this.#restarts++);
    this.#options.onEvent?.({ type: "failed", name: this.name, exit, restartInMs });
  }

  #end(reason: EndReason, detail: string): void {
    this.#state = { kind: "ended", reason, detail };
    this.#options.onEvent?.({ type: "ended", name: this.name, reason, detail });
  }
}

/** Starts the child, at once unless told. For one that fails nothing is thrown: see its events. */
export const supervise = (options: SuperviseOptions): Supervised => new Supervised(options);

export const describeExit = ({ code, signal }: Exit): string =>
  signal === null ? `exit ${code}` : `ended by ${signal}`;

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody of the group is left.
  }
}
