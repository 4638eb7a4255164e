/**
 * The storage of durable jobs in memory, with the rules of the real one, and processes that die:
 * after so many calls a process is gone, and what it still awaits never comes.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, fault, type JobRecord } from "@millrace/protocol";
import { fail, ok, type Result } from "@millrace/std";
import type { ChunkCounts, ChunkKey, JobStore, Task, WorkQueue } from "@millrace/store";
import type { CountStored } from "../src/zones.ts";

interface Message {
  readonly id: string;
  readonly subject: string;
  readonly bytes: Uint8Array;
  deliveries: number;
  state: "waiting" | "out" | "gone";
}

/** One process that uses the storage. */
class Life {
  calls = 0;
  readonly #callsMax: number;

  constructor(callsMax: number) {
    this.#callsMax = callsMax;
  }

  get isOver(): boolean {
    return this.calls >= this.#callsMax;
  }

  /** The call in which a process dies may still have its effect: only its answer is lost. */
  call<T>(effect: () => T): Promise<T> {
    if (this.isOver) return NEVER;
    this.calls++;
    const value = effect();
    return this.isOver ? NEVER : Promise.resolve(value);
  }
}

const NEVER = new Promise<never>(() => undefined);
const TURN_MS = 1;

/** A queue's messages, and a process's way to them. */
export class FakeMessages {
  readonly all: Message[] = [];

  get waiting(): readonly Message[] {
    return this.all.filter(({ state }) => state !== "gone");
  }

  /** Whoever had messages is gone: they are given out again. */
  redeliver(): void {
    for (const message of this.all) if (message.state === "out") message.state = "waiting";
  }

  open(life: Life): WorkQueue {
    return {
      add: (subject, id, bytes) =>
        life.call(() => {
          if (!this.all.some((message) => message.id === id)) {
            this.all.push({ id, subject, bytes, deliveries: 0, state: "waiting" });
          }
          return ok(undefined);
        }),
      take: async () => {
        await sleep(TURN_MS, undefined, { ref: false });
        if (life.isOver) return NEVER;
        const message = this.all.find(({ state }) => state === "waiting");
        return ok(message === undefined ? undefined : this.#hand(message, life));
      },
      count: async () => ok(new Map([["all", this.waiting.length]])),
    };
  }

  #hand(message: Message, life: Life): Task {
    message.state = "out";
    message.deliveries++;
    return {
      subject: message.subject,
      bytes: message.bytes,
      deliveries: message.deliveries,
      ageUs: 0,
      working: () => undefined,
      again: () => {
        if (life.isOver) return;
        message.state = "waiting";
        // Later than what is there already.
        this.all.push(...this.all.splice(this.all.indexOf(message), 1));
      },
      done: () =>
        life.call(() => {
          message.state = "gone";
          return true;
        }),
    };
  }
}

export class FakeJobStore {
  readonly recordOf = new Map<string, JobRecord>();
  readonly resultOf = new Map<string, { readonly counts: ChunkCounts; readonly lines: string }>();
  readonly letters: { readonly key: ChunkKey; readonly reason: Fault }[] = [];
  readonly queue = new FakeMessages();
  readonly hooks = new FakeMessages();
  /** While set, every call fails. */
  outage: Fault | undefined;
  /** What those who use it say that they sent or took. */
  storedBytes = 0;
  readonly stored: CountStored = (_, bytes) => void (this.storedBytes += bytes);
  #life = new Life(Infinity);

  /** Calls of the process that came last. */
  get calls(): number {
    return this.#life.calls;
  }

  /** A new process, which may make so many calls; what the one before had out comes back. */
  start(callsMax = Infinity): JobStore {
    const life = new Life(callsMax);
    this.#life = life;
    this.queue.redeliver();
    this.hooks.redeliver();
    const answer = <T>(effect: () => Result<T, Fault>): Promise<Result<T, Fault>> =>
      life.call(() => (this.outage === undefined ? effect() : fail(this.outage)));
    const nothing = async () => fail(fault("OBJECT_NOT_FOUND", "no objects here"));
    const store: Omit<JobStore, "dead"> = {
      records: this.#records(answer),
      results: this.#results(answer),
      queue: { ...this.queue.open(life), close: () => undefined },
      hooks: this.hooks.open(life),
      objects: { put: nothing, receive: nothing, read: nothing, open: nothing },
    };
    // Dead letters are for the command alone.
    return store as JobStore;
  }

  #records(answer: Answering): JobStore["records"] {
    return {
      read: (tenant, job) =>
        answer(() => {
          const record = this.recordOf.get(`${tenant}.${job}`);
          return ok({ record, revision: record === undefined ? 0 : 1 });
        }),
      update: (tenant, job, change) =>
        answer(() => {
          const changed = change(this.recordOf.get(`${tenant}.${job}`));
          if (changed.ok && changed.value !== undefined) {
            this.recordOf.set(`${tenant}.${job}`, changed.value);
          }
          return changed;
        }),
      list: (tenant) =>
        answer(() => {
          const keys = [...this.recordOf.keys()].filter((key) => key.startsWith(`${tenant}.`));
          return ok(keys.map((key) => key.slice(tenant.length + 1)));
        }),
    };
  }

  #results(answer: Answering): JobStore["results"] {
    return {
      find: (key) => answer(() => ok(this.resultOf.get(nameOf(key))?.counts)),
      read: (key) =>
        answer(() => {
          const found = this.resultOf.get(nameOf(key));
          return ok(found === undefined ? undefined : Buffer.from(found.lines));
        }),
      write: (key, counts, lines) =>
        answer(() => {
          const standing = this.resultOf.get(nameOf(key));
          if (standing !== undefined) return ok(standing.counts);
          this.resultOf.set(nameOf(key), { counts, lines: Buffer.from(lines).toString() });
          return ok(counts);
        }),
      bury: (key, reason) =>
        answer(() => {
          const isFiled = this.letters.some((letter) => nameOf(letter.key) === nameOf(key));
          if (!isFiled) this.letters.push({ key, reason });
          return ok(undefined);
        }),
    };
  }
}

type Answering = <T>(effect: () => Result<T, Fault>) => Promise<Result<T, Fault>>;

const nameOf = ({ tenant, job, token }: ChunkKey): string => `${tenant}.${job}.${token}`;
