/** Where callers stand, by what ingresses say, and in which zones spot machines are being taken. */

import type { IngressHeartbeat, WorkerHeartbeat } from "@millrace/protocol";

/** Ten beats of an ingress. */
const FORGET_US = 10_000_000;
/** A provider that takes one machine takes more within its notice, which is two minutes. */
const RISK_US = 120_000_000;
/** I6: what is beyond has no zone. */
const CALLERS_MAX = 10_000;
const ZONES_MAX = 256;

export class Zones {
  readonly #callers = new Map<string, { readonly zone: string; heardUs: number }>();
  readonly #riskUntilUs = new Map<string, number>();

  /** Of the caller with this address. */
  of(ingress: string): string | undefined {
    return this.#callers.get(ingress)?.zone;
  }

  callerHeard({ id, zone }: IngressHeartbeat, nowUs: number): void {
    if (this.#callers.size >= CALLERS_MAX && !this.#callers.has(id)) return;
    this.#callers.set(id, { zone, heardUs: nowUs });
  }

  callerLost(id: string): void {
    this.#callers.delete(id);
  }

  /** A spot machine that drains may be one that is taken: its heartbeat does not say why. */
  workerHeard({ lifecycle, state, zone }: WorkerHeartbeat, nowUs: number): void {
    if (lifecycle !== "spot" || state !== "draining" || zone === undefined) return;
    if (this.#riskUntilUs.size >= ZONES_MAX && !this.#riskUntilUs.has(zone)) return;
    this.#riskUntilUs.set(zone, nowUs + RISK_US);
  }

  isAtRisk(zone: string): boolean {
    return this.#riskUntilUs.has(zone);
  }

  expire(nowUs: number): void {
    for (const [id, { heardUs }] of this.#callers) {
      if (heardUs < nowUs - FORGET_US) this.#callers.delete(id);
    }
    for (const [zone, untilUs] of this.#riskUntilUs) {
      if (untilUs <= nowUs) this.#riskUntilUs.delete(zone);
    }
  }
}
