/**
 * Durable jobs: clients that submit until they are told that theirs is accepted, and ingresses that
 * take chunks from the queue and ask their items as requests of their own.
 */

import { begin, commit, finishChunk, judge } from "@millrace/jobs";
import type { Outcome } from "@millrace/invariants";
import type { Random } from "@millrace/std";
import type { IngressNode } from "./ingress-node.ts";
import type { JobStore, QueuedChunk } from "./job-store.ts";
import { within } from "./scenario.ts";
import type { World } from "./world.ts";
import type { Workload } from "./workload.ts";

const ITEMS_MAX = 12;
const CHUNK_ITEMS = 4;
const LOOK_US = 100_000;
const AGAIN_US = 150_000;
const DIGEST = "0".repeat(64);

export class JobDesk {
  readonly #world: World;
  readonly #store: JobStore;
  readonly #ingresses: readonly IngressNode[];
  readonly #workload: Workload;
  readonly #random: Random;
  /** Submissions whose clients have not been told yet. */
  #open = 0;
  /** The process of each ingress that is at a chunk. */
  readonly #busy = new Map<string, unknown>();

  constructor(
    world: World,
    store: JobStore,
    ingresses: readonly IngressNode[],
    workload: Workload,
    random: Random,
  ) {
    this.#world = world;
    this.#store = store;
    this.#ingresses = ingresses;
    this.#workload = workload;
    this.#random = random;
  }

  get isIdle(): boolean {
    return this.#open === 0 && this.#store.isIdle;
  }

  /** Jobs arrive until then; whoever has an ingress up looks for chunks to the end. */
  run(untilUs: number): void {
    const { timeline, scenario } = this.#world;
    for (let at = 0; at < scenario.jobs; at++) {
      const items = within(this.#random, 1, ITEMS_MAX);
      this.#open++;
      timeline.at(this.#random.below(untilUs), () => this.#submit(`job-${at}`, items));
    }
    if (scenario.jobs === 0) return;
    for (const ingress of this.#ingresses) this.#look(ingress);
  }

  /**
   * One try by an ingress, under the same key as those before; the client tries until it is told.
   */
  #submit(job: string, items: number): void {
    const { timeline } = this.#world;
    const again = (): void => timeline.after(AGAIN_US, () => this.#submit(job, items));
    const up = this.#ingresses.filter((ingress) => ingress.takesRequests);
    const ingress = up[this.#random.below(up.length)];
    if (ingress === undefined) return again();
    const { life } = ingress;
    const told = (): void => {
      this.#open--;
      this.#world.trace(ingress.id, "accepted", { job, items });
      this.#world.observe({ type: "jobAccepted", job, key: job, items });
    };
    const ask = <T>(act: () => T, then: (answer: T) => void): void =>
      this.#store.ask(ingress.id, act, (answer) => {
        // The client saw its connection end, or was told to try again.
        if (ingress.life !== life || answer === undefined) return again();
        then(answer);
      });
    const draft = { id: job, tenant: "tenant", model: this.#workload.jobModel.name };
    ask(
      () => {
        const before = this.#store.record(job);
        const begun = begin(before, draft, this.#nowMs());
        return { begun, isSwapped: begun.ok && this.#store.swap(before, begun.value) };
      },
      ({ begun, isSwapped }) => {
        if (!begun.ok) return told();
        if (!isSwapped) return again();
        const { generation } = begun.value;
        const chunks = Math.ceil(items / CHUNK_ITEMS);
        const put = (chunk: number): void => {
          const first = chunk * CHUNK_ITEMS;
          const size = Math.min(CHUNK_ITEMS, items - first);
          const place = { job, generation, chunk, first, items: size };
          if (chunk < chunks)
            return ask(
              () => this.#put(place),
              () => put(chunk + 1),
            );
          ask(
            () => {
              const before = this.#store.record(job);
              const submitted = { generation, items, chunks, digest: DIGEST };
              const done = commit(before, submitted, this.#nowMs());
              return done.ok && this.#store.swap(before, done.value);
            },
            (isCommitted) => (isCommitted ? told() : again()),
          );
        };
        put(0);
      },
    );
  }

  #put(chunk: Omit<QueuedChunk, "visibleAtUs">): true {
    this.#store.put(chunk);
    return true;
  }

  /** An ingress takes one chunk at a time; a process that ended had none. */
  #look(ingress: IngressNode): void {
    const { life } = ingress;
    this.#world.timeline.after(LOOK_US, () => this.#look(ingress));
    if (life === undefined || this.#busy.get(ingress.id) === life) return;
    this.#busy.set(ingress.id, life);
    const rest = (): void => void this.#busy.delete(ingress.id);
    this.#store.ask(
      ingress.id,
      () => {
        const chunk = this.#store.pull();
        if (chunk !== undefined && this.#world.without("ackLast")) this.#store.confirm(chunk);
        return { chunk };
      },
      (answer) => {
        if (ingress.life !== life) return;
        if (answer?.chunk === undefined) return rest();
        this.#runChunk(ingress, answer.chunk, rest);
      },
    );
  }

  /** Every item until it has a result, then the results together. */
  #runChunk(ingress: IngressNode, chunk: QueuedChunk, rest: () => void): void {
    const { life } = ingress;
    const effects: string[] = [];
    let left = chunk.items;
    const ask = (at: number): void => {
      // One that drains asks no more; what it leaves is delivered to another.
      if (ingress.life !== life || !ingress.takesRequests) return;
      const settled = (outcome: Outcome): void => {
        if (!outcome.ok && judge(outcome.code) !== "final") {
          return this.#world.timeline.after(AGAIN_US, () => ask(at));
        }
        effects[at] = `${chunk.job}/${chunk.first + at}`;
        left--;
        if (left === 0) this.#finish(ingress, chunk, effects, rest);
      };
      ingress.ask({ ...this.#workload.drawItem(), settled });
    };
    for (let at = 0; at < chunk.items; at++) ask(at);
  }

  /** The results stand before the record says so, and both before the queue forgets the chunk. */
  #finish(ingress: IngressNode, chunk: QueuedChunk, effects: string[], rest: () => void): void {
    const { life } = ingress;
    const steps = [
      () => this.#store.write(chunk, effects),
      () => this.#countChunk(chunk),
      () => this.#store.confirm(chunk),
    ];
    const go = (): void => {
      const [step] = steps;
      if (step === undefined) return rest();
      this.#store.ask(
        ingress.id,
        () => step() ?? true,
        (answer) => {
          if (ingress.life !== life) return;
          // Each may be done again: nothing of it is done twice in effect.
          if (answer === true) steps.shift();
          go();
        },
      );
    };
    go();
  }

  #countChunk({ job, generation, chunk, items }: QueuedChunk): boolean {
    const before = this.#store.record(job);
    if (before === undefined) return true;
    const end = { generation, chunk, items, failed: 0, dead: false };
    return this.#store.swap(before, finishChunk(before, end, this.#nowMs()));
  }

  #nowMs(): number {
    return Math.floor(this.#world.timeline.nowUs / 1_000);
  }
}
