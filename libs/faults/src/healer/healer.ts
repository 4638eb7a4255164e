/**
 * The injector's end of its healer. One healer serves all faults of an injector; it is started
 * before the first of them, and outlives the injector for as long as undoing takes. Should the
 * healer die first, the injector undoes everything by itself and starts another.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type HealAction, type Throttle, undo } from "./actions.ts";

export type ToHealer =
  | {
      readonly type: "hold";
      readonly id: string;
      readonly undo: readonly HealAction[];
      readonly durationUs: number;
    }
  | { readonly type: "throttle"; readonly id: string; readonly throttle: Throttle }
  | { readonly type: "heal"; readonly id: string };

export type FromHealer =
  | { readonly held: string }
  | { readonly healed: string; readonly by: "told" | "time"; readonly errors: readonly string[] };

export interface Healed {
  readonly by: "told" | "time" | "healer-lost";
  /** What could not be undone, and why; empty as a rule. */
  readonly errors: readonly string[];
}

interface Held {
  readonly undo: readonly HealAction[];
  readonly accepted: PromiseWithResolvers<void>;
  readonly healed: PromiseWithResolvers<Healed>;
}

type Process = ChildProcessByStdio<Writable, Readable, null>;

const ENTRY = fileURLToPath(new URL("./process.ts", import.meta.url));
const END_MS_MAX = 15_000;

export class Healer implements AsyncDisposable {
  readonly #held = new Map<string, Held>();
  #process: Process | undefined;

  /** Of the running process, for tests that end it. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Resolves once the healer would undo the fault even if this process ended now. The promise in
   * the answer resolves when it is undone, after `durationUs` at the latest.
   * @throws Error where no healer can be started: then nothing may be injected.
   */
  async hold(
    id: string,
    actions: readonly HealAction[],
    durationUs: number,
  ): Promise<{ readonly healed: Promise<Healed> }> {
    const running = this.#running();
    const held: Held = {
      undo: actions,
      accepted: Promise.withResolvers(),
      healed: Promise.withResolvers(),
    };
    this.#held.set(id, held);
    send(running, { type: "hold", id, undo: actions, durationUs });
    await held.accepted.promise;
    return { healed: held.healed.promise };
  }

  /** The healer freezes and lets go these processes in turns, until the fault is undone. */
  throttle(id: string, throttle: Throttle): void {
    if (this.#process !== undefined) send(this.#process, { type: "throttle", id, throttle });
  }

  /** Undoes it now; the promise of `hold` tells when that is done. */
  heal(id: string): void {
    if (this.#process !== undefined && this.#held.has(id))
      send(this.#process, { type: "heal", id });
  }

  /** Undoes everything first. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#held.values()].map(({ healed }) => healed.promise);
    const running = this.#process;
    if (running === undefined) return;
    running.stdin.end();
    const exit = once(running, "close");
    await Promise.race([
      Promise.all([exit, ...ended]),
      sleep(END_MS_MAX, undefined, { ref: false }),
    ]);
  }

  #running(): Process {
    if (this.#process !== undefined) return this.#process;
    // A session of its own: what ends the injector's group does not end what heals after it.
    const started = spawn(process.execPath, [ENTRY], {
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    createInterface({ input: started.stdout }).on("line", (line) => {
      this.#heard(JSON.parse(line) as FromHealer);
    });
    started.stdin.on("error", () => undefined);
    started.once("error", (error) => this.#lost(started, error));
    started.once("close", () => this.#lost(started, new Error("the healer ended")));
    this.#process = started;
    return started;
  }

  #heard(message: FromHealer): void {
    if ("held" in message) return this.#held.get(message.held)?.accepted.resolve();
    const held = this.#held.get(message.healed);
    this.#held.delete(message.healed);
    held?.healed.resolve({ by: message.by, errors: message.errors });
  }

  /** Nobody is left who would undo what is under way: that is done here, at once. */
  #lost(gone: Process, reason: Error): void {
    if (this.#process !== gone) return;
    this.#process = undefined;
    const left = [...this.#held];
    this.#held.clear();
    for (const [, held] of left) {
      held.accepted.promise.catch(() => undefined);
      held.accepted.reject(reason);
      void undoAll(held.undo).then((errors) => held.healed.resolve({ by: "healer-lost", errors }));
    }
  }
}

async function undoAll(actions: readonly HealAction[]): Promise<readonly string[]> {
  const errors: string[] = [];
  for (const action of actions) {
    await undo(action).catch((error: unknown) => errors.push(String(error)));
  }
  return errors;
}

function send(to: Process, message: ToHealer): void {
  to.stdin.write(`${JSON.stringify(message)}\n`);
}
