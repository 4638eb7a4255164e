/** What is known of each model version: its owner's name, its recent answers, its load. */

import { MODELS_MAX, type SchedulerHeartbeat, splitRef } from "@millrace/protocol";
import { Ring } from "@millrace/std";

/** The largest of the last hundred stands for their 99th percentile. */
const ANSWERS_KEPT = 100;
const MODELS_KNOWN_MAX = 2 * MODELS_MAX;

/** A scheduler's own prediction, and when it was heard. */
export interface Load {
  readonly scheduler: string;
  readonly heardUs: number;
  readonly waitUs: number;
  readonly computeUs: number;
}

export interface Model {
  readonly ref: string;
  /** Decides the owner: all versions of a model have the same. */
  readonly name: string;
  load: Load | undefined;
  /** From ticket to answer, in microseconds. */
  answerUs: Ring | undefined;
}

export class Models {
  readonly #models = new Map<string, Model>();

  get(ref: string): Model {
    const known = this.#models.get(ref);
    if (known !== undefined) return known;
    const model: Model = { ref, name: splitRef(ref).name, load: undefined, answerUs: undefined };
    // I6: the oldest is forgotten, and learned again when it is asked for.
    if (this.#models.size >= MODELS_KNOWN_MAX) {
      for (const oldest of this.#models.keys()) {
        this.#models.delete(oldest);
        break;
      }
    }
    this.#models.set(ref, model);
    return model;
  }

  heard(heartbeat: SchedulerHeartbeat, nowUs: number): void {
    for (const { ref, waitUs, computeUs } of heartbeat.loads) {
      this.get(ref).load = { scheduler: heartbeat.id, heardUs: nowUs, waitUs, computeUs };
    }
  }
}

export function learn(model: Model, tookUs: number): void {
  model.answerUs ??= new Ring(ANSWERS_KEPT);
  model.answerUs.push(tookUs);
}

/** The load as its owner said it, unless that is too long ago or another scheduler owns it now. */
export function freshLoad(
  model: Model,
  owner: string | undefined,
  nowUs: number,
  freshUs: number,
): Load | undefined {
  const { load } = model;
  return load !== undefined && load.scheduler === owner && nowUs - load.heardUs < freshUs
    ? load
    : undefined;
}
