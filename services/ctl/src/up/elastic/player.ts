/**
 * Plays a day's load against the front door, open loop: a request is sent when it is due, whether
 * earlier ones were answered or not, and its time counts from when it was due. It runs in a process
 * of its own, so that a flood of answers does not keep `up` from starting workers.
 */

import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Series } from "@millrace/load-facts";
import { rateAt } from "./day.ts";

export interface PlayerOptions {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly request: object;
  readonly load: Series;
  /**
   * The day's clock: at `realUs` of the machine's it was `virtualUs`, and it is so many times as
   * fast.
   */
  readonly clock: { readonly realUs: number; readonly virtualUs: number; readonly scale: number };
  /** What is asked of a request. */
  readonly objectiveMs: number;
  readonly timeoutMs: number;
}

export interface Played {
  readonly sent: number;
  readonly served: number;
  /** Refused or failed: the day's errors. */
  readonly failed: number;
  /** Answered later than the objective. */
  readonly slow: number;
  /** Failures by their reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** The 99th percentile of the answers since the last report, milliseconds. */
  readonly p99Ms: number | undefined;
}

export const NOTHING_PLAYED: Played = {
  sent: 0,
  served: 0,
  failed: 0,
  slow: 0,
  reasons: {},
  p99Ms: undefined,
};

const TICK_MS = 5;
const SECOND_US = 1_000_000;
/** I6: an overload opens no more than this; what is due beyond counts as failed. */
const OPEN_MAX = 4_000;

/** I6: connections, beyond which requests wait for one. */
const SOCKETS_MAX = 512;

export class Player {
  readonly #options: PlayerOptions;
  readonly #body: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  readonly #reasons: Record<string, number> = {};
  #sent = 0;
  #served = 0;
  #failed = 0;
  #slow = 0;
  #open = 0;
  #latest: number[] = [];
  #stopped = false;

  constructor(options: PlayerOptions) {
    this.#options = options;
    const parameters = { priority: "realtime", timeout: options.timeoutMs * 1000 };
    this.#body = JSON.stringify({ ...options.request, parameters });
  }

  /** What was played so far; the percentile is that since the last call. */
  report(): Played {
    const sorted = this.#latest.toSorted((a, b) => a - b);
    this.#latest = [];
    const p99Ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))];
    return {
      sent: this.#sent,
      served: this.#served,
      failed: this.#failed,
      slow: this.#slow,
      reasons: this.#reasons,
      p99Ms,
    };
  }

  /** No more is sent; what is open is still answered. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when the day is over, or it is stopped, and everything was answered. */
  async play(untilUs: number): Promise<void> {
    const { load } = this.#options;
    const { realUs, scale, virtualUs } = this.#options.clock;
    const nowUs = (): number => virtualUs + (Date.now() * 1000 - realUs) * scale;
    let lastUs = nowUs();
    let due = 0;
    while (lastUs < untilUs && !this.#stopped) {
      await sleep(TICK_MS);
      const atUs = nowUs();
      due += (rateAt(load, lastUs) * (atUs - lastUs)) / SECOND_US;
      // Spread over the tick that is past: each is as late as it is.
      const tickMs = (atUs - lastUs) / 1000 / scale;
      const whole = Math.floor(due);
      for (let each = 0; each < whole; each++) {
        void this.#ask(performance.now() - tickMs * (1 - each / whole));
      }
      due -= whole;
      lastUs = atUs;
    }
    while (this.#open > 0) await sleep(TICK_MS);
    this.#agent.destroy();
  }

  async #ask(dueMs: number): Promise<void> {
    this.#sent++;
    if (this.#open >= OPEN_MAX) {
      this.#fail("the player's own bound"); // I6
      return;
    }
    this.#open++;
    try {
      const [status, body] = await this.#post();
      if (status === 200) this.#answered(performance.now() - dueMs);
      else this.#fail(/"code":"([A-Z_]+)"/.exec(body)?.[1] ?? String(status));
    } catch (error) {
      this.#fail((error as NodeJS.ErrnoException).code ?? (error as Error).message);
    } finally {
      this.#open--;
    }
  }

  #post(): Promise<readonly [number, string]> {
    const { key, model, timeoutMs, url } = this.#options;
    return new Promise((resolve, reject) => {
      const sent = request(
        `${url}/v2/models/${model}/infer`,
        {
          method: "POST",
          agent: this.#agent,
          timeout: 2 * timeoutMs,
          headers: {
            Authorization: `Bearer ${key}`,
            "Content-Type": "application/json",
            "Content-Length": Buffer.byteLength(this.#body),
          },
        },
        (response) => {
          text(response).then((body) => resolve([response.statusCode ?? 0, body]), reject);
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", reject).end(this.#body);
    });
  }

  #answered(ms: number): void {
    this.#served++;
    if (ms > this.#options.objectiveMs) this.#slow++;
    this.#latest.push(ms);
  }

  #fail(reason: string): void {
    this.#failed++;
    this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1;
  }
}
