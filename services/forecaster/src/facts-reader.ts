/**
 * Follows the load facts: all that are kept at the start, then what came since, each once; and
 * rolls whole hours up. A forecaster that starts again reads the same facts and rolls up what is
 * missing.
 */

import { openHourFacts, openMinuteFacts } from "@millrace/history";
import { factKey, HOUR_US, rollUp } from "@millrace/load-facts";
import type { Fault, LoadFact } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import type { NatsConnection } from "@nats-io/transport-node";

export interface FactsReaderOptions {
  readonly connection: NatsConnection;
  readonly log: Log;
  readonly add: (fact: LoadFact) => void;
}

/** I6: minutes are kept this long; what is older was rolled up by whoever held the lease. */
const OPEN_US_MAX = 49 * 24 * HOUR_US;
/** Facts of an hour are all there this long after its end: an ingress writes within seconds. */
const SETTLED_US = 300_000_000;

export class FactsReader {
  readonly #options: FactsReaderOptions;
  readonly #minutes: ReturnType<typeof openMinuteFacts>;
  readonly #hours: ReturnType<typeof openHourFacts>;
  /** Facts by hour that are not rolled up yet. */
  readonly #open = new Map<number, LoadFact[]>();
  /** Of the last hour that anybody wrote: it may lack the rest. */
  #written = new Set<string>();
  /** Where in the stream of minutes the next read begins. */
  #fromSeq = 0;
  #rolledUpToUs = 0;
  #epoch: number | undefined;

  constructor(options: FactsReaderOptions) {
    this.#options = options;
    this.#minutes = openMinuteFacts(options.connection);
    this.#hours = openHourFacts(options.connection);
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
    return read.ok;
  }

  #take(fact: LoadFact): void {
    this.#options.add(fact);
    const hourUs = Math.floor(fact.atUs / HOUR_US) * HOUR_US;
    if (hourUs < this.#rolledUpToUs) return;
    const open = this.#open.get(hourUs);
    if (open === undefined) this.#open.set(hourUs, [fact]);
    else open.push(fact);
  }

  /**
   * Writes the hours that are over.
   * @param epoch of the lease: another holder may have written hours since the last time.
   */
  async rollUp(nowUs: number, epoch: number): Promise<void> {
    if (this.#epoch !== epoch && !(await this.#findRolledUp())) return;
    this.#epoch = epoch;
    for (const [hourUs, facts] of [...this.#open].sort(([a], [b]) => a - b)) {
      if (hourUs + HOUR_US + SETTLED_US > nowUs) return;
      // One source: the members that saw the minutes are of no interest after an hour.
      for (const fact of rollUp(facts.map((each) => ({ ...each, source: "all" })))) {
        if (this.#written.has(factKey(fact))) continue;
        const written = await this.#hours.append(fact);
        if (!written.ok) {
          this.#options.log.warn(written.error, "load facts by the hour");
          return;
        }
        this.#written.add(factKey(fact));
      }
      this.#written.clear();
      this.#open.delete(hourUs);
      this.#rolledUpToUs = hourUs + HOUR_US;
    }
  }

  async #findRolledUp(): Promise<boolean> {
    let lastUs = this.#rolledUpToUs;
    let written = new Set<string>();
    const read = await this.#hours.readPages({}, (page) => {
      for (const fact of page) {
        if (fact.atUs > lastUs) {
          lastUs = fact.atUs;
          written = new Set();
        }
        if (fact.atUs === lastUs) written.add(factKey(fact));
      }
    });
    if (!read.ok) {
      this.#options.log.warn(read.error, "load facts by the hour");
      return false;
    }
    this.#rolledUpToUs = lastUs;
    this.#written = written;
    for (const hourUs of this.#open.keys()) {
      if (hourUs < this.#rolledUpToUs) this.#open.delete(hourUs);
    }
    return true;
  }

  #forget(): void {
    const newestUs = Math.max(0, ...this.#open.keys());
    for (const hourUs of this.#open.keys()) {
      if (hourUs < newestUs - OPEN_US_MAX) this.#open.delete(hourUs);
    }
  }
}
