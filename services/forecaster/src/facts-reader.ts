/**
 * Follows the load facts: all that are kept at the start, then what came since, each once; and
 * rolls whole hours up. A forecaster that starts again reads the same facts and rolls up what is
 * missing.
 */

import { openHourFacts, openMinuteFacts } from "@millrace/history";
import { factKey, HOUR_US, rollUp } from "@millrace/load-facts";
import type { LoadFact } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import type { NatsConnection } from "@nats-io/transport-node";

export interface FactsReaderOptions {
  readonly connection: NatsConnection;
  readonly log: Log;
  readonly add: (fact: LoadFact) => void;
}

const realUs = (): number => Date.now() * 1000;
/** What was acknowledged while the last read was under way is read again. */
const OVERLAP_US = 30_000_000;
/** I6: minutes are kept this long; what is older was rolled up by whoever held the lease. */
const OPEN_US_MAX = 49 * 24 * HOUR_US;
/** Facts of an hour are all there this long after its end: an ingress writes within seconds. */
const SETTLED_US = 300_000_000;

export class FactsReader {
  readonly #options: FactsReaderOptions;
  readonly #minutes: ReturnType<typeof openMinuteFacts>;
  readonly #hours: ReturnType<typeof openHourFacts>;
  /** Keys of facts that the overlap may bring again, with when they were read. */
  readonly #seen = new Map<string, number>();
  /** Facts by hour that are not rolled up yet. */
  readonly #open = new Map<number, LoadFact[]>();
  /** Of the last hour that anybody wrote: it may lack the rest. */
  #written = new Set<string>();
  #sinceUs: number | undefined;
  #rolledUpToUs = 0;
  #epoch: number | undefined;

  constructor(options: FactsReaderOptions) {
    this.#options = options;
    this.#minutes = openMinuteFacts(options.connection);
    this.#hours = openHourFacts(options.connection);
  }

  /** False where the storage did not answer; what was read before stays. */
  async read(): Promise<boolean> {
    const { add, log } = this.#options;
    const startedUs = realUs();
    const read = await this.#minutes.read({
      ...(this.#sinceUs === undefined ? {} : { sinceUs: this.#sinceUs }),
      problem: (problem) => log.warn(problem, "a load fact was not understood"),
    });
    if (!read.ok) {
      log.warn(read.error, "load facts");
      return false;
    }
    for (const fact of read.value) {
      const key = factKey(fact);
      if (this.#seen.has(key)) continue;
      this.#seen.set(key, startedUs);
      add(fact);
      const hourUs = Math.floor(fact.atUs / HOUR_US) * HOUR_US;
      if (hourUs < this.#rolledUpToUs) continue;
      const open = this.#open.get(hourUs);
      if (open === undefined) this.#open.set(hourUs, [fact]);
      else open.push(fact);
    }
    this.#forget();
    this.#sinceUs = startedUs - OVERLAP_US;
    for (const [key, atUs] of this.#seen)
      if (atUs < startedUs - 2 * OVERLAP_US) this.#seen.delete(key);
    return true;
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
    const hours = await this.#hours.read();
    if (!hours.ok) {
      this.#options.log.warn(hours.error, "load facts by the hour");
      return false;
    }
    for (const { atUs } of hours.value) this.#rolledUpToUs = Math.max(this.#rolledUpToUs, atUs);
    const last = hours.value.filter(({ atUs }) => atUs === this.#rolledUpToUs);
    this.#written = new Set(last.map(factKey));
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
