/**
 * Counts what this ingress saw of every model, client, priority and kind of worker, and writes it
 * down as load facts once a minute is over. What cannot be written is kept, and tried again.
 */

import { LOAD_AMOUNTS, type LoadFact, priorityOf, type Tier } from "@millrace/protocol";

export type Amounts = Record<(typeof LOAD_AMOUNTS)[number], number>;

/** Where facts go; false where that failed and may succeed later. */
export type WriteFact = (fact: LoadFact) => Promise<boolean>;

/** Where requests are counted. */
export interface LoadCounter {
  /** What to add to, for a request that ends now. */
  amounts(model: string, client: string, tier: Tier, kind?: string): Amounts;
}

export interface LoadRecorderOptions {
  /** Who saw it: this process, as another one may have seen other requests of the same minute. */
  readonly source: string;
  readonly write: WriteFact;
  /** Unix microseconds. */
  readonly wallUs: () => number;
  /** Microseconds of that clock in a real one; times are measured in real ones. Default 1. */
  readonly scale?: number;
}

const MINUTE_US = 60_000_000;
/** In place of a kind: of requests that no worker answered. */
const NOBODY = "";
/** A minute is looked at so often, also where it is shorter than a real one. */
const TICKS_A_MINUTE = 10;
const TICK_MS_MIN = 20;
const TICK_MS_MAX = 1_000;
/** I6: facts that wait for the storage; the oldest go first. At 100 a minute this is two hours. */
const WAITING_MAX = 12_000;

export class LoadRecorder implements LoadCounter, AsyncDisposable {
  readonly #options: LoadRecorderOptions;
  readonly #timer: NodeJS.Timeout;
  /** By model, client, kind of worker and tier; of the present minute. */
  #current = new Map<string, Map<string, Map<string, (Amounts | undefined)[]>>>();
  #minuteUs: number;
  #waiting: LoadFact[] = [];
  #writing: Promise<void> = Promise.resolve();
  #dropped = 0;

  constructor(options: LoadRecorderOptions) {
    this.#options = options;
    this.#minuteUs = minuteOf(options.wallUs());
    const tickMs = MINUTE_US / 1_000 / (options.scale ?? 1) / TICKS_A_MINUTE;
    const everyMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, tickMs));
    this.#timer = setInterval(() => void this.tick(), everyMs);
    this.#timer.unref();
  }

  /** Facts that were dropped because the storage took none for too long. */
  get dropped(): number {
    return this.#dropped;
  }

  amounts(model: string, client: string, tier: Tier, kind = NOBODY): Amounts {
    let clients = this.#current.get(model);
    if (clients === undefined) {
      clients = new Map();
      this.#current.set(model, clients);
    }
    let kinds = clients.get(client);
    if (kinds === undefined) {
      kinds = new Map();
      clients.set(client, kinds);
    }
    let tiers = kinds.get(kind);
    if (tiers === undefined) {
      tiers = [];
      kinds.set(kind, tiers);
    }
    return (tiers[tier] ??= noAmounts());
  }

  /** Ends the minute if it is over, and writes what waits. */
  async tick(): Promise<void> {
    const minuteUs = minuteOf(this.#options.wallUs());
    // A clock that was set back ends no minute: its facts would be taken for those written before.
    if (minuteUs > this.#minuteUs) {
      this.#endMinute();
      this.#minuteUs = minuteUs;
    }
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  /** Writes the minute that has begun, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#endMinute();
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  #endMinute(): void {
    const { scale = 1, source } = this.#options;
    for (const [model, clients] of this.#current) {
      for (const [tenant, kinds] of clients) {
        for (const [kind, tiers] of kinds) {
          const served = kind === NOBODY ? {} : { kind };
          const place = {
            source,
            tenant,
            ...served,
            atUs: this.#minuteUs,
            spanUs: MINUTE_US,
          } as const;
          for (const [tier, amounts] of tiers.entries()) {
            if (amounts === undefined) continue;
            const priority = priorityOf(tier as Tier);
            const queueUs = Math.round(amounts.queueUs * scale);
            const computeUs = Math.round(amounts.computeUs * scale);
            this.#waiting.push({ v: 1, model, priority, ...place, ...amounts, queueUs, computeUs });
          }
        }
      }
    }
    this.#current = new Map();
    const over = this.#waiting.length - WAITING_MAX;
    if (over > 0) this.#dropped += this.#waiting.splice(0, over).length; // I6
  }

  async #write(): Promise<void> {
    while (this.#waiting[0] !== undefined) {
      if (!(await this.#options.write(this.#waiting[0]))) return;
      this.#waiting.shift();
    }
  }
}

const minuteOf = (wallUs: number): number => Math.floor(wallUs / MINUTE_US) * MINUTE_US;

const noAmounts = (): Amounts =>
  Object.fromEntries(LOAD_AMOUNTS.map((name) => [name, 0])) as Amounts;
