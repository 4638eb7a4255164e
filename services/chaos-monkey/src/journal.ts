/**
 * What happened to faults, in order: logged, and sent to whoever listens. A fault may hit the
 * broker itself, so an event is kept until the broker has it, and comes again where that is not
 * certain: its number tells.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import { unixUs } from "@millrace/faults";
import { CHAOS_JOURNAL, type ChaosEvent, encodeJson } from "@millrace/protocol";
import type { Log } from "@millrace/std";
import { isFlushed } from "./flushed.ts";

/** I6: what is more is lost, which the log says. */
const WAITING_MAX = 1_000;
const AGAIN_MS = 250;
/** After a broker's end those who listen may be back later than this connection. */
const RETURN_MS = 600;

export class Journal {
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #waiting: ChaosEvent[] = [];
  #number = 0;
  #sending = false;
  #quietUntilMs = 0;

  constructor(bus: Bus, log: Log) {
    this.#bus = bus;
    this.#log = log;
    bus.onConnection((connected) => {
      if (connected) this.#quietUntilMs = performance.now() + RETURN_MS;
    });
  }

  write(event: Omit<ChaosEvent, "v" | "number" | "atUs">): void {
    const { event: what, ...rest } = event;
    this.#log.info(rest, what);
    this.#waiting.push({ v: 1, number: ++this.#number, atUs: unixUs(), ...event });
    if (this.#waiting.length > WAITING_MAX) {
      this.#waiting.shift();
      this.#log.warn({ kept: WAITING_MAX }, "an event of the journal was dropped");
    }
    if (!this.#sending) void this.#send();
  }

  async #send(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.length > 0) {
      const sent = [...this.#waiting];
      const ready = this.#bus.connected && performance.now() >= this.#quietUntilMs;
      for (const event of ready ? sent : []) this.#bus.publish(CHAOS_JOURNAL, encodeJson(event));
      if (ready && (await isFlushed(this.#bus))) {
        const last = sent.at(-1)?.number ?? 0;
        while ((this.#waiting[0]?.number ?? Infinity) <= last) this.#waiting.shift();
      } else {
        await sleep(AGAIN_MS, undefined, { ref: false });
      }
    }
    this.#sending = false;
  }
}
