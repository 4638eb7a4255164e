/**
 * Load at a fixed rate, whether answers come or not, and a ledger of every request: what it was
 * asked, what came back and when, and whether that is the right answer to it.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, ask, type AskOptions, type Target, type Values } from "./inference.ts";

/** A request with the answer that it must get. */
export interface Question {
  readonly model: string;
  readonly inputs: readonly Values[];
  /** The values of the first output; a function of the version where that decides. */
  readonly expected: (version: number) => readonly number[];
  readonly options?: AskOptions;
}

export interface Entry {
  readonly id: string;
  readonly model: string;
  /** Since the start of the load. */
  readonly askedMs: number;
  answeredMs: number;
  /** Undefined while there is no answer, and where there was no whole one. */
  answer: Pick<Answer, "status" | "version"> | undefined;
  /** What was wrong with it; undefined for the right answer. */
  trouble: string | undefined;
}

export interface LoadOptions {
  readonly target: Target;
  /** 0 for bursts alone. */
  readonly perSecond: number;
  readonly timeoutMs: number;
  readonly question: (number: number) => Question;
}

/** A request that is lost must not keep a test: this long after its deadline it is given up. */
const GRACE_MS = 5_000;
const IDLE_MS = 1_000;
const TROUBLES_SHOWN = 12;

interface Event {
  readonly what: string;
  readonly atMs: number;
}

export class Load {
  readonly entries: Entry[] = [];
  readonly #options: LoadOptions;
  readonly #beganMs = performance.now();
  readonly #open = new Set<Promise<void>>();
  readonly #events: Event[] = [];
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Milliseconds since the start. */
  get nowMs(): number {
    return performance.now() - this.#beganMs;
  }

  /** Notes what happens to the cluster, so that a failure can say what it came after. */
  mark(what: string): void {
    this.#events.push({ what, atMs: this.nowMs });
  }

  /** So many requests at once, on top of the rate. */
  burst(count: number): void {
    for (let more = 0; more < count; more++) this.#ask();
  }

  /** Ends the load, and resolves when the last request has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await Promise.all(this.#open);
  }

  /**
   * One line for each request that did not get its right answer; the first of them, and how many.
   */
  get troubles(): readonly string[] {
    const lines = this.entries.flatMap((entry) => {
      const { id, model, askedMs, answeredMs, trouble } = entry;
      if (trouble === undefined) return [];
      const after = this.#events
        .filter(({ atMs }) => atMs <= answeredMs)
        .map(({ what, atMs }) => `${(askedMs - atMs).toFixed(0)} ms after ${what}`);
      const took = `${(answeredMs - askedMs).toFixed(0)} ms`;
      return [`${id} to ${model}, asked ${after.at(-1) ?? "first"}: ${trouble}, in ${took}`];
    });
    if (lines.length <= TROUBLES_SHOWN) return lines;
    return [...lines.slice(0, TROUBLES_SHOWN), `${lines.length} of ${this.entries.length} in all`];
  }

  async #run(): Promise<void> {
    const { perSecond } = this.#options;
    const { signal } = this.#stopping;
    let asked = 0;
    while (!signal.aborted) {
      // Those that are due are asked even when the timer was late: the rate is kept.
      for (const due = (this.nowMs * perSecond) / 1000; asked < due; asked++) this.#ask();
      const nextMs = perSecond === 0 ? IDLE_MS : (asked * 1000) / perSecond - this.nowMs;
      await sleep(Math.max(1, nextMs), undefined, { signal }).catch(() => undefined);
    }
  }

  #ask(): void {
    const number = this.entries.length;
    const question = this.#options.question(number);
    const entry: Entry = {
      id: `request-${number}`,
      model: question.model,
      askedMs: this.nowMs,
      answeredMs: Number.POSITIVE_INFINITY,
      answer: undefined,
      trouble: "no answer",
    };
    this.entries.push(entry);
    const open = this.#follow(entry, question).finally(() => this.#open.delete(open));
    this.#open.add(open);
  }

  async #follow(entry: Entry, question: Question): Promise<void> {
    const { target, timeoutMs } = this.#options;
    const { model, inputs, options } = question;
    try {
      const answer = await ask(target, model, inputs, {
        ...options,
        id: entry.id,
        parameters: { timeout: timeoutMs * 1000, ...options?.parameters },
        signal: AbortSignal.timeout(timeoutMs + GRACE_MS),
      });
      entry.answer = answer;
      entry.trouble = troubleOf(entry, question, answer);
    } catch (error) {
      const { message, cause } = error as Error;
      entry.trouble = cause instanceof Error ? `${message}: ${cause.message}` : message;
    }
    entry.answeredMs = this.nowMs;
  }
}

function troubleOf(entry: Entry, question: Question, answer: Answer): string | undefined {
  if (answer.status !== 200) return `${answer.status} ${answer.code}: ${answer.message}`;
  if (answer.id !== entry.id) return `the answer to ${answer.id}`;
  const expected = question.expected(answer.version ?? 0);
  const found = answer.outputs[0]?.data ?? [];
  const same =
    found.length === expected.length && expected.every((value, at) => value === found[at]);
  return same ? undefined : `the values ${found.slice(0, 4).join(", ")}`;
}
