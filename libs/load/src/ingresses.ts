/**
 * Which ingress a client asks, as behind a load balancer that checks who is ready. One that fails
 * two checks in a row gets nothing new, and its open requests go on to another: one that is frozen
 * or cut off answers nobody, and its clients would wait for it past their deadlines.
 */

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { present, type Random } from "@millrace/std";
import { Client } from "./client.ts";

const CHECK_MS = 200;
const CHECK_MS_MAX = 500;
const FAILED_MAX = 2;

export interface Ingress {
  readonly url: string;
  /** Aborted when it is no longer ready while another one is. */
  readonly signal: AbortSignal;
}

interface Checked {
  readonly url: string;
  failed: number;
  leaving: AbortController;
}

export class Ingresses implements Disposable {
  readonly #client = new Client();
  readonly #all: readonly Checked[];
  #stopped = false;

  constructor(urls: readonly string[]) {
    this.#all = urls.map((url) => ({ url, failed: 0, leaving: newLeaving() }));
    // The only one is asked whatever it says.
    if (urls.length > 1) for (const checked of this.#all) void this.#check(checked);
  }

  /** One drawn from those that are ready, or from all where none is; the `attempt`th after it. */
  choose(first: number, attempt: number): Ingress {
    const ready = this.#all.filter(isReady);
    const from = ready.length > 0 ? ready : this.#all;
    const { url, leaving } = present(from[(first + attempt) % from.length], "an ingress");
    return { url, signal: leaving.signal };
  }

  /** What the requests of one client begin with. */
  draw(random: Random): number {
    return random.below(this.#all.length);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#client[Symbol.dispose]();
  }

  async #check(checked: Checked): Promise<void> {
    const { url } = checked;
    const path = "/v2/health/ready";
    while (!this.#stopped) {
      const call = { url, method: "GET", path, key: "", timeoutMs: CHECK_MS_MAX } as const;
      const exchange = await this.#client.call(call);
      if (exchange.kind === "status" && exchange.status === 200) checked.failed = 0;
      else checked.failed++;
      if (!isReady(checked) && this.#all.some(isReady)) {
        checked.leaving.abort();
        checked.leaving = newLeaving();
      }
      await sleep(CHECK_MS, undefined, { ref: false });
    }
  }
}

const isReady = ({ failed }: Checked): boolean => failed < FAILED_MAX;

/** As many listeners as requests are open. */
function newLeaving(): AbortController {
  const leaving = new AbortController();
  setMaxListeners(0, leaving.signal);
  return leaving;
}
