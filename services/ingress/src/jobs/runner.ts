/**
 * Takes chunks from the queue and runs them until each has a result that stands: the first that is
 * written, whoever ran it (I5). A chunk leaves the queue last of all, so whatever ends this process
 * leaves it to be run again, and what was done already is found done.
 */

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Chunk,
  chunkDelayUs,
  type ChunkEnd,
  decodeChunk,
  errorLine,
  giveUp,
  isEnded,
} from "@millrace/jobs";
import { chunkToken, type Fault, fault, type JobRecord } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import type { ChunkCounts, ChunkKey, JobStore, Task } from "@millrace/store";
import type { CountStored } from "../zones.ts";
import { ChunkRun, type ChunkRunOptions } from "./chunk-run.ts";
import type { JobMetrics } from "./job-metrics.ts";
import type { Ledger } from "./ledger.ts";

export interface RunnerOptions extends ChunkRunOptions {
  readonly store: JobStore;
  readonly ledger: Ledger;
  readonly metrics: JobMetrics;
  readonly log: Log;
  /** Chunks that are run at a time; each is taken only when there is room for it. */
  readonly slots: number;
  /** How long a chunk may wait for a cluster that can serve it. */
  readonly ageMsMax: number;
  readonly stored: CountStored;
}

/** One chunk in hand. */
interface Held {
  readonly task: Task;
  readonly chunk: Chunk;
  readonly key: ChunkKey;
  readonly record: JobRecord;
}

const TAKE_MS = 5_000;
/** More often than the broker's patience (`ACK_WAIT_MS`) three times over. */
const WORKING_MS = 1_500;
const STORE_AGAIN_MS = 1_000;
/** I6: chunks whose deliveries are remembered here. */
const UNWRITTEN_MAX = 1_000;
/** Then one chunk of the model tries again. */
const AWAY_US = 5_000_000;
const MS_US = 1000;

export class Runner {
  readonly #options: RunnerOptions;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /**
   * Models that the cluster could not serve, until when: their other chunks are given back unrun,
   * so that a queue full of them does not hold up what can be served.
   */
  readonly #away = new Map<string, number>();
  /** Deliveries that ended by a fault of the store, which it could not count as waits. */
  readonly #unwritten = new Map<string, number>();

  constructor(options: RunnerOptions) {
    this.#options = options;
    // Every item of every chunk listens.
    setMaxListeners(0, this.#stopping.signal);
  }

  /** Chunks that are being run. */
  get running(): number {
    return this.#running.size;
  }

  start(): void {
    for (let slot = 0; slot < this.#options.slots; slot++) void this.#loop();
  }

  /** Takes nothing more, and gives back what is not done. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#options.store.queue.close();
    await Promise.all(this.#running);
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stopping;
    const { store, log } = this.#options;
    while (!signal.aborted) {
      const taken = await store.queue.take(TAKE_MS);
      if (!taken.ok) {
        log.debug({ reason: taken.error.message }, "no jobs can be taken");
        await sleep(STORE_AGAIN_MS, undefined, { signal, ref: false }).catch(() => undefined);
      } else if (taken.value !== undefined) {
        if (signal.aborted) taken.value.again(0);
        else await this.#track(this.#handle(taken.value));
      }
    }
  }

  async #track(handling: Promise<void>): Promise<void> {
    this.#running.add(handling);
    await handling;
    this.#running.delete(handling);
  }

  async #handle(task: Task): Promise<void> {
    const { log } = this.#options;
    const chunk = decodeChunk(task.bytes);
    if (!chunk.ok) {
      // Nothing here writes such bytes, and they name no job that could be told.
      log.error({ subject: task.subject, reason: chunk.error.message }, "not a chunk of a job");
      await task.done();
      return;
    }
    this.#options.stored(chunk.value.head, task.bytes.length);
    const working = setInterval(() => task.working(), WORKING_MS);
    try {
      await this.#work(task, chunk.value);
    } finally {
      clearInterval(working);
    }
  }

  async #work(task: Task, chunk: Chunk): Promise<void> {
    const { store, metrics } = this.#options;
    const { tenant, job, generation, chunk: number } = chunk.head;
    const key = { tenant, job, token: chunkToken(generation, number) };
    const read = await store.records.read(tenant, job);
    if (!read.ok) return this.#giveBack(task, key, read.error);
    const { record } = read.value;
    // Withdrawn, cancelled, void, or ended by another delivery of this very chunk.
    if (record === undefined || record.generation !== generation || isEnded(record)) {
      if (record !== undefined) await this.#options.ledger.announce(record);
      await task.done();
      return;
    }
    const held = { task, chunk, key, record };
    const standing = await store.results.find(key);
    if (!standing.ok) await this.#giveBack(task, key, standing.error);
    else if (standing.value !== undefined) await this.#finish(held, standing.value);
    else {
      metrics.chunkStarted(task.ageUs);
      await this.#run(held);
    }
  }

  async #run(held: Held): Promise<void> {
    const { task, chunk, key, record } = held;
    const { ledger, ageMsMax } = this.#options;
    const deliveries = task.deliveries - (this.#unwritten.get(key.token) ?? 0);
    const why = giveUp(deliveries, record.waits, task.ageUs, ageMsMax * MS_US);
    if (why !== undefined) {
      await this.#bury(held, why);
      return;
    }
    const model = awayKey(chunk);
    if ((this.#away.get(model) ?? 0) > this.#options.nowUs()) {
      await this.#postpone(held);
      return;
    }
    const cancelled = new AbortController();
    const { signal } = this.#stopping;
    const watching = this.#watch(key, cancelled);
    const both = AbortSignal.any([signal, cancelled.signal]);
    const outcome = await new ChunkRun(this.#options, chunk, both).run();
    watching.abort();
    if (outcome.kind === "results") {
      this.#away.delete(model);
      await this.#write(held, { failed: outcome.failed, dead: false }, outcome.lines);
    } else if (outcome.kind === "waited") {
      const { code, message: reason } = outcome.reason;
      this.#options.log.info({ ...key, model, code, reason }, "a model cannot be served");
      this.#away.set(model, this.#options.nowUs() + AWAY_US);
      await this.#postpone(held);
    } else if (cancelled.signal.aborted) {
      await task.done();
    } else {
      // Counted as a wait, because a drain is no fault of the chunk's.
      await ledger.wait(key.tenant, key.job);
      task.again(0);
    }
  }

  /** Later, and at no cost to the chunk. */
  async #postpone({ task, key, record }: Held): Promise<void> {
    const { ledger, chance } = this.#options;
    const waited = await ledger.wait(key.tenant, key.job);
    const waits = waited.ok ? (waited.value?.waits ?? 1) : record.waits + 1;
    task.again(chunkDelayUs(waits, chance()) / MS_US);
  }

  /** Looks now and then whether the job was cancelled meanwhile. */
  #watch({ tenant, job }: ChunkKey, cancelled: AbortController): AbortController {
    const over = new AbortController();
    const { signal } = over;
    const look = async (): Promise<void> => {
      for (;;) {
        await sleep(WORKING_MS, undefined, { signal });
        const read = await this.#options.store.records.read(tenant, job);
        if (read.ok && (read.value.record === undefined || isEnded(read.value.record))) {
          cancelled.abort();
        }
      }
    };
    // It ends by its signal, which rejects the sleep.
    look().catch(() => undefined);
    return over;
  }

  async #bury(held: Held, why: string): Promise<void> {
    const { task, chunk, key } = held;
    const { store, metrics, log } = this.#options;
    const reason = fault("GIVEN_UP", `${why}; it is kept as a dead letter`);
    log.error({ ...key, deliveries: task.deliveries, reason: why }, "a chunk is given up");
    const buried = await store.results.bury(key, reason, task.bytes);
    if (!buried.ok) return this.#giveBack(task, key, buried.error);
    metrics.chunkDied();
    const { first, items } = chunk.head;
    const lines = Array.from({ length: items }, (_, at) => errorLine(first + at, reason));
    await this.#write(held, { failed: items, dead: true }, Buffer.from(`${lines.join("\n")}\n`));
  }

  async #write(held: Held, counts: Omit<ChunkCounts, "items">, lines: Uint8Array): Promise<void> {
    const { task, chunk, key } = held;
    const { items } = chunk.head;
    this.#options.stored(chunk.head, lines.length);
    // I5: an earlier write stands, and its counts are the ones that are booked.
    const standing = await this.#options.store.results.write(key, { items, ...counts }, lines);
    if (standing.ok) await this.#finish(held, standing.value);
    else await this.#giveBack(task, key, standing.error);
  }

  async #finish({ task, chunk, key }: Held, counts: ChunkCounts): Promise<void> {
    const { ledger, metrics } = this.#options;
    const { generation, chunk: number } = chunk.head;
    const end: ChunkEnd = { generation, chunk: number, ...counts };
    const standing = await ledger.finish(key.tenant, key.job, end);
    const announced =
      standing.ok && standing.value !== undefined && isEnded(standing.value)
        ? await ledger.announce(standing.value)
        : standing;
    if (!announced.ok) return this.#giveBack(task, key, announced.error);
    this.#unwritten.delete(key.token);
    metrics.chunkEnded(counts.items, counts.failed);
    await task.done();
  }

  /** The store failed, which is no fault of the chunk's: it costs it nothing. */
  async #giveBack(task: Task, key: ChunkKey, reason: Fault): Promise<void> {
    const { chance, ledger, log } = this.#options;
    log.warn({ ...key, code: reason.code, reason: reason.message }, "given back");
    const waited = await ledger.wait(key.tenant, key.job);
    const before = this.#unwritten.get(key.token) ?? 0;
    // Where that cannot be written down either, it is remembered here.
    if (!waited.ok) this.#remember(key.token, before + 1);
    const waits = waited.ok ? (waited.value?.waits ?? 1) : before + 1;
    task.again(chunkDelayUs(waits, chance()) / MS_US);
  }

  #remember(token: string, deliveries: number): void {
    this.#unwritten.delete(token);
    this.#unwritten.set(token, deliveries);
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size > UNWRITTEN_MAX && oldest !== undefined)
      this.#unwritten.delete(oldest);
  }
}

const awayKey = ({ head: { model, version } }: Chunk): string => `${model}@${version ?? ""}`;
