/** When the worker speaks, and when it lists its models: on change, when asked, each second. */

import type { Resident, WorkerHeartbeat } from "@millrace/protocol";
import { HEARTBEAT_US } from "@millrace/protocol";

/** Each of these beats carries the list of models, changed or not. */
const LIST_EVERY = 10;
/** So many beats carry a new list: one can be lost while a connection comes back. */
const LIST_REPEATS = 5;

/** What a beat says beside its number and the models. */
export type Condition = Omit<WorkerHeartbeat, "v" | "beat" | "modelsRevision" | "models">;

export class Heartbeats {
  #beat = 0;
  #nextUs = 0;
  #sentRevision = -1;
  #wanted = false;
  #listsLeft = 0;

  get nextUs(): number {
    return this.#nextUs;
  }

  /** Something changed that cannot wait for the next regular beat. */
  want(): void {
    this.#wanted = true;
  }

  /** Somebody may not know the list of models, and must not wait a second for it. */
  wantModels(): void {
    this.#wanted = true;
    this.#listsLeft = LIST_REPEATS;
  }

  isDue(revision: number, nowUs: number): boolean {
    return this.#wanted || nowUs >= this.#nextUs || revision !== this.#sentRevision;
  }

  next(condition: Condition, revision: number, models: Resident[], nowUs: number): WorkerHeartbeat {
    if (revision !== this.#sentRevision) this.#listsLeft = LIST_REPEATS;
    const withModels = this.#listsLeft > 0 || this.#beat % LIST_EVERY === 0;
    const heartbeat: WorkerHeartbeat = {
      v: 1,
      ...condition,
      beat: this.#beat,
      modelsRevision: revision,
      ...(withModels ? { models } : {}),
    };
    this.#beat++;
    if (this.#listsLeft > 0) this.#listsLeft--;
    this.#nextUs = nowUs + HEARTBEAT_US;
    this.#sentRevision = revision;
    this.#wanted = false;
    return heartbeat;
  }
}
