/** What the load did lately, for guards and probes: in slots of a quarter of a second. */

import { type LedgerRequest, type Span, verdictOf } from "@millrace/drills";

interface Slot {
  readonly untilUs: number;
  readonly ended: number;
  readonly failed: number;
  readonly latenciesUs: readonly number[];
}

/** The longest window that a guard may have. */
const KEPT_US = 600_000_000;

export class Recent {
  #slots: Slot[] = [];
  ended = 0;
  failed = 0;

  /** @param shedding when a refusal for want of capacity is no failure. */
  add(requests: readonly LedgerRequest[], nowUs: number, shedding: readonly Span[] = []): void {
    const verdicts = requests
      .map((request) => [request, verdictOf(request, shedding)] as const)
      .filter(([{ poison }, verdict]) => !poison && verdict !== "limited" && verdict !== "shed");
    const failed = verdicts.filter(([, verdict]) => verdict === "failed").length;
    this.ended += verdicts.length;
    this.failed += failed;
    this.#slots.push({
      untilUs: nowUs,
      ended: verdicts.length,
      failed,
      latenciesUs: verdicts.map(([{ intendedUs, endedUs }]) => endedUs - intendedUs),
    });
    const oldest = this.#slots.findIndex(({ untilUs }) => untilUs > nowUs - KEPT_US);
    if (oldest > 0) this.#slots = this.#slots.slice(oldest);
  }

  /** Per cent; undefined where nothing ended in the window. */
  availability(windowUs: number, nowUs: number): number | undefined {
    const slots = this.#within(windowUs, nowUs);
    const ended = slots.reduce((sum, slot) => sum + slot.ended, 0);
    const failed = slots.reduce((sum, slot) => sum + slot.failed, 0);
    return ended === 0 ? undefined : 100 * (1 - failed / ended);
  }

  p99Ms(windowUs: number, nowUs: number): number | undefined {
    const latencies = this.#within(windowUs, nowUs)
      .flatMap(({ latenciesUs }) => latenciesUs)
      .sort((a, b) => a - b);
    const us = latencies[Math.ceil(latencies.length * 0.99) - 1];
    return us === undefined ? undefined : us / 1000;
  }

  #within(windowUs: number, nowUs: number): readonly Slot[] {
    return this.#slots.filter(({ untilUs }) => untilUs > nowUs - windowUs);
  }
}
