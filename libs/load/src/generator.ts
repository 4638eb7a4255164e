/**
 * Open-loop load: requests are due by a Poisson process of a seed, whether or not the ones before
 * them were answered, and latency counts from when they were due. So a cluster that stalls meets
 * everything that would have come meanwhile, and its stall is in every one of those latencies.
 */

import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { present, type Random, seededRandom } from "@millrace/std";
import { ask } from "./asking.ts";
import { Client } from "./client.ts";
import type { Corpus } from "./corpus.ts";
import { Ingresses } from "./ingresses.ts";
import { followJob } from "./job-clerk.ts";
import type { LedgerEntry, LoadSettings, LoadShare } from "./settings.ts";

/** I6: beyond it a client would have run out of memory long ago; the ledger says so instead. */
const OPEN_MAX = 20_000;
const TICK_MS_MAX = 50;
/** Requests begun in one go: then answers are read, or a generator that is behind reads none. */
const TURN_MAX = 16;

export class Generator implements Disposable {
  readonly #settings: LoadSettings;
  readonly #corpus: Corpus;
  readonly #record: (entry: LedgerEntry) => void;
  readonly #client = new Client();
  readonly #ingresses: Ingresses;
  readonly #random: Random;
  readonly #arrivals: Random;
  readonly #shares: readonly { readonly share: LoadShare; readonly below: number }[];
  readonly #open = new Set<Promise<void>>();
  readonly #prefix: string;
  #beganMs = 0;
  #asked = 0;
  #openRequests = 0;
  #stopped = false;
  /** Of the thundering herd; 1 in calm. */
  factor = 1;
  poison: number;

  constructor(settings: LoadSettings, corpus: Corpus, record: (entry: LedgerEntry) => void) {
    this.#settings = settings;
    this.#corpus = corpus;
    this.#record = record;
    this.#ingresses = new Ingresses(settings.urls);
    this.#random = seededRandom(settings.seed);
    this.#arrivals = this.#random.fork();
    this.poison = settings.poison;
    this.#prefix = `drill-${settings.seed}-${process.pid}-${Date.now().toString(36)}`;
    const total = settings.mix.reduce((sum, { share }) => sum + share, 0);
    let below = 0;
    this.#shares = settings.mix.map((share) => ({ share, below: (below += share.share / total) }));
  }

  /** Requests without an end. */
  get open(): number {
    return this.#openRequests;
  }

  /** Ends the arrivals; what was asked is followed to its end. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when every request and every job has its entry. */
  async run(): Promise<void> {
    this.#beganMs = performance.now();
    await Promise.all([this.#runRequests(), this.#runJobs()]);
    await Promise.all(this.#open);
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#ingresses[Symbol.dispose]();
  }

  readonly #nowUs = (): number => Math.round((performance.now() - this.#beganMs) * 1000);

  async #runRequests(): Promise<void> {
    const { requestsPerSecond, durationUs } = this.#settings;
    let dueUs = 0;
    while (!this.#stopped && dueUs < durationUs) {
      // All that is due goes at once: a late timer does not lower the rate.
      for (let asked = 1; dueUs <= this.#nowUs() && dueUs < durationUs; asked++) {
        this.#ask(Math.round(dueUs));
        dueUs += this.#arrivals.exponential(1e6 / (requestsPerSecond * this.factor));
        if (asked % TURN_MAX === 0) await turn();
      }
      await sleep(Math.min(TICK_MS_MAX, Math.max(1, (dueUs - this.#nowUs()) / 1000)));
    }
  }

  #ask(intendedUs: number): void {
    this.#asked++;
    const id = `${this.#prefix}-${this.#asked}`;
    const random = this.#random;
    const draw = random.next();
    const { share } = present(
      this.#shares.find(({ below }) => draw < below) ?? this.#shares.at(-1),
      "a share of the mix",
    );
    const tenant = random.below(this.#settings.keys.length);
    const poisoned = random.chance(this.poison);
    const question = poisoned ? undefined : this.#corpus.draw(share.model, tenant, random);
    const inputs = question?.inputs ?? this.#corpus.drawPoison(share.model, random);
    const key = present(this.#settings.keys[tenant], "the tenant's key");
    const asking = { id, share, tenant, key, intendedUs, question, inputs };
    if (this.#openRequests >= OPEN_MAX) throw new Error(`${OPEN_MAX} requests have no answer`);
    this.#openRequests++;
    const world = {
      client: this.#client,
      corpus: this.#corpus,
      ingresses: this.#ingresses,
      random,
      nowUs: this.#nowUs,
    };
    this.#follow(this.#answered(ask(world, asking)));
  }

  async #answered(entry: Promise<LedgerEntry>): Promise<void> {
    const settled = await entry;
    this.#openRequests--;
    this.#record(settled);
  }

  /** Evenly over the time between the warm-up and the end. */
  async #runJobs(): Promise<void> {
    const { jobs, durationUs, warmUpUs, urls, keys } = this.#settings;
    if (jobs === undefined) return;
    const gapUs = Math.max(1, (durationUs - warmUpUs) / jobs.count);
    const world = {
      client: this.#client,
      corpus: this.#corpus,
      urls,
      keys,
      random: this.#random.fork(),
      nowUs: this.#nowUs,
      untilUs: () => durationUs + jobs.endWithinUs,
    };
    for (let number = 0; number < jobs.count && !this.#stopped; number++) {
      const dueUs = warmUpUs + number * gapUs;
      const waitMs = (dueUs - this.#nowUs()) / 1000;
      if (waitMs >= 1) await sleep(waitMs);
      this.#follow(
        followJob(world, jobs, number, this.#prefix).then((entry) => this.#record(entry)),
      );
    }
  }

  #follow(work: Promise<void>): void {
    const open = work.finally(() => this.#open.delete(open));
    this.#open.add(open);
  }
}
