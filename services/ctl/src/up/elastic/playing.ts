/** Starts the player's process and hears its reports. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { NOTHING_PLAYED, type Played, type PlayerOptions } from "./player.ts";
import type { PlayOrder } from "./player-process.ts";

const PROCESS = fileURLToPath(new URL("./player-process.ts", import.meta.url));
/** What is open when the day is stopped is answered or late by then. */
const STOP_MS_MAX = 10_000;

export class Playing {
  readonly #child: ChildProcess;
  /** Resolves when everything was played and answered. */
  readonly ended: Promise<void>;
  #played = NOTHING_PLAYED;

  constructor(options: PlayerOptions, untilUs: number) {
    this.#child = fork(PROCESS, { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child.on("message", (played: Played) => (this.#played = played));
    this.ended = once(this.#child, "exit").then(() => undefined);
    this.#child.send({ options, untilUs } satisfies PlayOrder);
  }

  get played(): Played {
    return this.#played;
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.send("stop");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS_MAX);
    await this.ended;
    clearTimeout(late);
  }
}
