/**
 * The queue of chunks, which is fair to tenants: it lies in lanes, each tenant's chunks in one of
 * them, and runners take from the lanes in turn (McKenney, Stochastic Fairness Queueing, 1990). Who
 * has ten thousand items waiting keeps another waiting for one chunk of it at a time. Tenants whose
 * lane is the same wait for each other as in one queue.
 *
 * While somebody wants a chunk, one is asked for from every lane that has none at hand; so at most
 * one of each lane is at hand and waits for its turn (I6).
 */

import type { JetStreamClient } from "@nats-io/jetstream";
import { type Fault, JOB_LANES, JOB_STREAM, jobLaneConsumer } from "@millrace/protocol";
import { ok, type Result, Turns } from "@millrace/std";
import { StreamQueue, type Task, type WorkQueue } from "./work-queue.ts";

export interface FairQueue extends WorkQueue {
  /** Takes nothing more: what is at hand is for others. */
  close(): void;
}

interface Lane {
  readonly name: string;
  readonly queue: Pick<WorkQueue, "take">;
  /** It has a chunk at hand, or was asked for one. */
  asked: boolean;
}

/** A chunk that waits here for its turn, and the broker's patience kept up meanwhile. */
interface AtHand {
  readonly lane: Lane;
  readonly task: Task;
  readonly working: NodeJS.Timeout;
}

interface Taker {
  readonly give: (taken: Result<Task | undefined, Fault>) => void;
  readonly late: NodeJS.Timeout;
}

/** Three times as often as the broker asks for (`ACK_WAIT_MS`). */
const WORKING_MS = 1_500;
const PULL_MS = 5_000;

export class LaneQueue implements FairQueue {
  /** To what concerns the whole queue, by any lane. */
  readonly #all: Pick<WorkQueue, "add" | "count">;
  readonly #lanes: readonly Lane[];
  readonly #atHand = new Turns<AtHand>();
  readonly #takers: Taker[] = [];
  #closed = false;

  constructor(client: JetStreamClient) {
    const queueOf = (lane: string): StreamQueue => new StreamQueue(client, JOB_STREAM, lane);
    this.#all = queueOf(jobLaneConsumer(0));
    this.#lanes = Array.from({ length: JOB_LANES }, (_, at) => {
      const name = jobLaneConsumer(at);
      return { name, queue: queueOf(name), asked: false };
    });
  }

  add(subject: string, id: string, bytes: Uint8Array): Promise<Result<void, Fault>> {
    return this.#all.add(subject, id, bytes);
  }

  count(filter: string): Promise<Result<ReadonlyMap<string, number>, Fault>> {
    return this.#all.count(filter);
  }

  async take(waitMs: number): Promise<Result<Task | undefined, Fault>> {
    if (this.#closed) return ok(undefined);
    const taking = new Promise<Result<Task | undefined, Fault>>((resolve) => {
      const late = setTimeout(() => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        resolve(ok(undefined));
      }, waitMs);
      // An idle queue keeps no process alive.
      late.unref();
      const taker = { give: resolve, late };
      this.#takers.push(taker);
    });
    this.#serve();
    for (const lane of this.#lanes) void this.#ask(lane);
    return taking;
  }

  close(): void {
    this.#closed = true;
    for (let held = this.#atHand.next(); held !== undefined; held = this.#atHand.next()) {
      clearInterval(held.working);
      held.task.again(0);
    }
    while (this.#takers.length > 0) this.#give(ok(undefined));
  }

  /** Asks a lane for one chunk, for as long as somebody wants one. */
  async #ask(lane: Lane): Promise<void> {
    if (lane.asked) return;
    lane.asked = true;
    while (!this.#closed && this.#takers.length > 0) {
      const taken = await lane.queue.take(PULL_MS);
      if (!taken.ok) {
        this.#give(taken);
        break;
      }
      if (taken.value !== undefined) return this.#came(lane, taken.value);
    }
    lane.asked = false;
  }

  #came(lane: Lane, task: Task): void {
    if (this.#closed) return task.again(0);
    const working = setInterval(() => task.working(), WORKING_MS);
    working.unref();
    this.#atHand.add(lane.name, { lane, task, working });
    this.#serve();
  }

  /** What is at hand, in turn, to whoever asked first. */
  #serve(): void {
    while (this.#takers.length > 0) {
      const held = this.#atHand.next();
      if (held === undefined) return;
      clearInterval(held.working);
      this.#give(ok(held.task));
      held.lane.asked = false;
      void this.#ask(held.lane);
    }
  }

  #give(taken: Result<Task | undefined, Fault>): void {
    const taker = this.#takers.shift();
    if (taker === undefined) return;
    clearTimeout(taker.late);
    taker.give(taken);
  }
}
