/** Holds each tenant to its share of the queue: so many chunks of all its jobs (I6). */

import { type Fault, fault, subjects } from "@millrace/protocol";
import type { WorkQueue } from "@millrace/store";
import { isName } from "@millrace/std";

export interface TenantQueuesOptions {
  readonly queue: Pick<WorkQueue, "count">;
  /** Chunks of one tenant that may wait. */
  readonly chunksMax: number;
  readonly nowUs: () => number;
}

interface Count {
  readonly chunks: number;
  readonly atUs: number;
}

/** A count is good for so long: what comes in meanwhile is bounded by the stream itself. */
const FRESH_US = 250_000;
const RETRY_AFTER_US = 5_000_000;
/** Tenants whose counts are kept. */
const TENANTS_MAX = 10_000;

export class TenantQueues {
  readonly #options: TenantQueuesOptions;
  readonly #counts = new Map<string, Count>();

  constructor(options: TenantQueuesOptions) {
    this.#options = options;
  }

  /** Why the tenant may queue nothing more now. */
  async refusal(tenant: string): Promise<Fault | undefined> {
    const { chunksMax } = this.#options;
    const counted = isName(tenant) ? await this.#count(tenant) : 0;
    if (typeof counted !== "number") return counted;
    if (counted < chunksMax) return undefined;
    const message = `${counted} chunks of this API key's jobs wait, it may have ${chunksMax}`;
    return { ...fault("JOBS_FULL", message), retryAfterUs: RETRY_AFTER_US };
  }

  async #count(tenant: string): Promise<number | Fault> {
    const { queue, nowUs } = this.#options;
    const known = this.#counts.get(tenant);
    if (known !== undefined && nowUs() - known.atUs < FRESH_US) return known.chunks;
    const counts = await queue.count(subjects.job(tenant, "*"));
    if (!counts.ok) return counts.error;
    const chunks = [...counts.value.values()].reduce((sum, count) => sum + count, 0);
    if (this.#counts.size >= TENANTS_MAX) this.#counts.clear();
    this.#counts.set(tenant, { chunks, atUs: nowUs() });
    return chunks;
  }
}
