/**
 * Follows the load facts: all that are kept at the start, then what came since, each once; and
 * rolls whole hours up. A forecaster that starts again reads the same facts and rolls up what is
 * missing; what comes for an hour that was rolled up is added to it later.
 */

import { openHourFacts, openMinuteFacts } from "@millrace/history";
import { DAY_US, factKey, HOUR_US, rollUp } from "@millrace/load-facts";
import type { Fault, LoadFact } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import type { NatsConnection } from "@nats-io/transport-node";
import { LateHours } from "./late-hours.ts";

/** The members that saw the minutes are of no interest after an hour. */
const ALL = "all";

export interface FactsReaderOptions {
  readonly connection: NatsConnection;
  readonly log: Log;
  readonly add: (fact: LoadFact) => void;
  /** Of the lease; undefined while it is not held. */
  readonly epoch: () => number | undefined;
}

/** I6: minutes are kept this long; what is older was rolled up by whoever held the lease. */
const OPEN_MAX = 49 * 24;
/** With the lease the last hours are looked at again: facts may have come while nobody held it. */
const DOUBTED_US = DAY_US;
/** Facts of an hour are all there this long after its end: an ingress writes within seconds. */
const SETTLED_US = 300_000_000;

export class FactsReader {
  readonly #options: FactsReaderOptions;
  readonly #minutes: ReturnType<typeof openMinuteFacts>;
  readonly #hours: ReturnType<typeof openHourFacts>;
  /** Facts by hour that are not rolled up yet. */
  readonly #open = new Map<number, LoadFact[]>();
  /** Of the last hour that anybody wrote, which is `#writtenUs`: it may lack the rest. */
  #written = new Set<string>();
  #writtenUs = 0;
  readonly #late: LateHours;
  /** Of what was read first, nobody knows whether it was there when its hour was rolled up. */
  #isCaughtUp = false;
  /** Where in the stream of minutes the next read begins. */
  #fromSeq = 0;
  #rolledUpToUs = 0;
  #epoch: number | undefined;

  constructor(options: FactsReaderOptions) {
    this.#options = options;
    this.#minutes = openMinuteFacts(options.connection);
    this.#hours = openHourFacts(options.connection);
    const { log } = options;
    this.#late = new LateHours({ minutes: this.#minutes, hours: this.#hours, log });
  }

  /** False where the storage did not answer; what was read before stays. */
  async read(): Promise<boolean> {
    const { log } = this.#options;
    // First what was rolled up: else seven weeks of minutes would be kept for it in vain.
    if (this.#fromSeq === 0 && !(await this.#findRolledUp())) return false;
    const options = {
      fromSeq: this.#fromSeq,
      problem: (problem: Fault) => log.warn(problem, "a load fact was not understood"),
    };
    const read = await this.#minutes.readPages(options, (page, nextSeq) => {
      for (const fact of page) this.#take(fact);
      this.#fromSeq = nextSeq;
      this.#forget();
    });
    if (!read.ok) log.warn(read.error, "load facts");
    this.#isCaughtUp ||= read.ok;
    return read.ok;
  }

  #take(fact: LoadFact): void {
    this.#options.add(fact);
    const hourUs = Math.floor(fact.atUs / HOUR_US) * HOUR_US;
    if (hourUs < this.#rolledUpToUs) {
      if (this.#isCaughtUp) this.#late.note(hourUs);
      return;
    }
    const open = this.#open.get(hourUs);
    if (open === undefined) this.#open.set(hourUs, [fact]);
    else open.push(fact);
  }

  /**
   * Writes the hours that are over.
   * @param epoch of the lease: another holder may have written hours since the last time.
   */
  async rollUp(nowUs: number, epoch: number): Promise<void> {
    if (this.#late.isBusy) return;
    if (this.#epoch !== epoch) {
      if (!(await this.#findRolledUp())) return;
      for (let hourUs = this.#writtenUs; hourUs > this.#writtenUs - DOUBTED_US; hourUs -= HOUR_US) {
        if (hourUs > 0) this.#late.note(hourUs);
      }
    }
    this.#epoch = epoch;
    if (!(await this.#writeHours(nowUs))) return;
    void this.#late.correct(nowUs, () => this.#options.epoch() === epoch);
  }

  /** False where the storage did not answer. */
  async #writeHours(nowUs: number): Promise<boolean> {
    for (const [hourUs, facts] of [...this.#open].sort(([a], [b]) => a - b)) {
      if (hourUs + HOUR_US + SETTLED_US > nowUs) break;
      for (const fact of rollUp(facts.map((each) => ({ ...each, source: ALL })))) {
        if (this.#written.has(factKey(fact))) continue;
        const written = await this.#hours.append(fact);
        if (!written.ok) {
          this.#options.log.warn(written.error, "load facts by the hour");
          return false;
        }
        this.#written.add(factKey(fact));
      }
      this.#written.clear();
      this.#open.delete(hourUs);
      this.#rolledUpToUs = Math.max(this.#rolledUpToUs, hourUs + HOUR_US);
    }
    // It is whole now: what comes for it is late.
    if (this.#writtenUs > 0 && !this.#open.has(this.#writtenUs)) {
      this.#rolledUpToUs = Math.max(this.#rolledUpToUs, this.#writtenUs + HOUR_US);
    }
    return true;
  }

  async #findRolledUp(): Promise<boolean> {
    let lastUs = 0;
    let written = new Set<string>();
    const read = await this.#hours.readPages({}, (page) => {
      for (const fact of page) {
        if (fact.atUs > lastUs) {
          lastUs = fact.atUs;
          written = new Set();
        }
        if (fact.atUs === lastUs) written.add(factKey({ ...fact, source: ALL }));
      }
    });
    if (!read.ok) {
      this.#options.log.warn(read.error, "load facts by the hour");
      return false;
    }
    this.#rolledUpToUs = Math.max(this.#rolledUpToUs, lastUs);
    this.#writtenUs = lastUs;
    this.#written = written;
    for (const hourUs of this.#open.keys()) {
      if (hourUs < this.#rolledUpToUs) this.#open.delete(hourUs);
    }
    return true;
  }

  #forget(): void {
    const hours = [...this.#open.keys()].sort((a, b) => b - a);
    for (const hourUs of hours.slice(OPEN_MAX)) this.#open.delete(hourUs);
  }
}
