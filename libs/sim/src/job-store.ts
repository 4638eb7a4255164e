/**
 * What the broker keeps of jobs: records, the queue of chunks, results. All of it outlives every
 * process; asking takes time, and an answer can be lost when the deed was done.
 */

import type { Fact } from "@millrace/invariants";
import type { JobRecord } from "@millrace/protocol";
import type { World } from "./world.ts";

export interface QueuedChunk {
  readonly job: string;
  readonly generation: number;
  readonly chunk: number;
  readonly first: number;
  readonly items: number;
  /** Whoever took it has until then to say that it is still at it. */
  visibleAtUs: number;
}

const ASK_US = 1_000;
const TIMEOUT_US = 200_000;
/** A delivery that nobody confirms is made again after so long. */
const LEASE_US = 600_000;

export class JobStore {
  readonly #world: World;
  readonly #records = new Map<string, JobRecord>();
  readonly #queue = new Map<string, QueuedChunk>();
  /** By chunk: the effects of each time that its result was written. */
  readonly #results = new Map<string, string[][]>();

  constructor(world: World) {
    this.#world = world;
  }

  get isIdle(): boolean {
    return this.#queue.size === 0;
  }

  /** Does something in the store for `from`; undefined where no answer came, done or not. */
  ask<T>(from: string, act: () => T, answered: (answer: T | undefined) => void): void {
    const world = this.#world;
    const { network, timeline, random, scenario } = world;
    const isLost = (): boolean =>
      !network.isConnected(from) || (world.faulty() && random.chance(scenario.network.loss));
    timeline.after(ASK_US, () => {
      if (isLost()) return timeline.after(TIMEOUT_US, () => answered(undefined));
      const answer = act();
      timeline.after(ASK_US, () => {
        if (isLost()) return timeline.after(TIMEOUT_US, () => answered(undefined));
        answered(answer);
      });
    });
  }

  record(job: string): JobRecord | undefined {
    return this.#records.get(job);
  }

  /** False where somebody else wrote meanwhile. */
  swap(before: JobRecord | undefined, after: JobRecord): boolean {
    if (this.#records.get(after.id) !== before) return false;
    this.#records.set(after.id, after);
    return true;
  }

  put(chunk: Omit<QueuedChunk, "visibleAtUs">): void {
    const key = keyOf(chunk);
    if (!this.#queue.has(key)) this.#queue.set(key, { ...chunk, visibleAtUs: 0 });
  }

  /** A chunk that nobody is at. */
  pull(): QueuedChunk | undefined {
    const { nowUs } = this.#world.timeline;
    for (const chunk of this.#queue.values()) {
      if (chunk.visibleAtUs > nowUs) continue;
      chunk.visibleAtUs = nowUs + LEASE_US;
      return chunk;
    }
    return undefined;
  }

  confirm(chunk: QueuedChunk): void {
    this.#queue.delete(keyOf(chunk));
  }

  /** The first write stands (I5). */
  write(chunk: QueuedChunk, effects: string[]): void {
    const written = this.#results.get(keyOf(chunk)) ?? [];
    if (written.length > 0 && !this.#world.without("firstWrite")) return;
    this.#results.set(keyOf(chunk), [...written, effects]);
  }

  /** What clients find when all is over. */
  tell(observe: (fact: Fact) => void): void {
    for (const { id: job, generation, chunks, endedAtMs } of this.#records.values()) {
      let item = 0;
      for (let chunk = 0; chunk < chunks; chunk++) {
        const writes = this.#results.get(keyOf({ job, generation, chunk })) ?? [];
        for (const effects of writes) {
          effects.forEach((content, at) =>
            observe({ type: "jobItemRead", job, item: item + at, content }),
          );
        }
        item += writes[0]?.length ?? 0;
      }
      if (endedAtMs !== undefined) observe({ type: "jobEnded", job });
    }
  }
}

const keyOf = (chunk: Pick<QueuedChunk, "job" | "generation" | "chunk">): string =>
  `${chunk.job} ${chunk.generation}-${chunk.chunk}`;
