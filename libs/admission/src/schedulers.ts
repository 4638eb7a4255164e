/** Knows which schedulers take tickets, and which of them owns a model. */

import { Membership, type MembershipOptions } from "@millrace/membership";
import type { SchedulerHeartbeat } from "@millrace/protocol";

interface Process {
  readonly incarnation: number;
  readonly breaks: number;
  readonly heardUs: number;
}

/** Processes of the past are dropped when there are more than this. */
const PROCESSES_MAX = 64;

export class Schedulers {
  readonly #members: Membership;
  readonly #forgetAfterUs: number;
  readonly #processes = new Map<string, Process>();
  /** Not heard since the connection came back: what is sent to them now may reach nobody. */
  readonly #unheard = new Set<string>();
  #connected = true;

  constructor(options: MembershipOptions) {
    this.#members = new Membership(options);
    this.#forgetAfterUs = options.forgetAfterUs;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get alive(): readonly string[] {
    return this.#members.alive;
  }

  /** When somebody will have been silent for too long; without a connection nobody is. */
  get silentAtUs(): number {
    return this.#connected ? this.#members.nextChangeUs : Infinity;
  }

  owner(model: string): string | undefined {
    return this.#members.owner(model);
  }

  /** The owner, when a ticket sent now will reach it. */
  reachableOwner(model: string): string | undefined {
    const owner = this.#connected ? this.#members.owner(model) : undefined;
    return owner !== undefined && this.#unheard.has(owner) ? undefined : owner;
  }

  /** `lost`: what was sent to it before may be gone. `changed`: who waits may have an owner. */
  heard(
    heartbeat: SchedulerHeartbeat,
    nowUs: number,
  ): { readonly lost: boolean; readonly changed: boolean } {
    const { id, incarnation, breaks, state } = heartbeat;
    const before = this.#members.alive;
    const heard = this.#members.heard(id, incarnation, nowUs, state === "draining");
    const knownBreaks = this.#processes.get(id)?.breaks ?? breaks;
    this.#processes.set(id, { incarnation, breaks, heardUs: nowUs });
    if (this.#processes.size > PROCESSES_MAX) this.#forget(nowUs);
    const lost = heard === "restarted" || breaks !== knownBreaks;
    const wasUnheard = this.#unheard.delete(id);
    return { lost, changed: lost || wasUnheard || this.#members.alive !== before };
  }

  /** A scheduler that drains says so in its next heartbeat; until then it would refuse again. */
  drains(id: string, nowUs: number): void {
    const known = this.#processes.get(id);
    if (known === undefined || !this.#members.isAlive(id)) return;
    this.#members.heard(id, known.incarnation, nowUs, true);
  }

  /** The broker saw its connection end. False when that is no news. */
  lost(id: string): boolean {
    this.#unheard.delete(id);
    return this.#members.lost(id);
  }

  /** Those that have just been silent for too long. */
  expire(nowUs: number): readonly string[] {
    const lost = this.#members.expire(nowUs);
    for (const id of lost) this.#unheard.delete(id);
    return lost;
  }

  disconnected(): void {
    this.#connected = false;
  }

  /**
   * Those alive before the break still own what they owned, so that nothing moves for a broker that
   * was restarted; each gets tickets again when it is heard, because one that is not back yet would
   * not receive them. One that stays silent is lost in the usual time.
   */
  reconnected(nowUs: number): void {
    this.#connected = true;
    for (const id of this.#members.alive) {
      this.#members.heard(id, this.#processes.get(id)?.incarnation ?? 0, nowUs);
      this.#unheard.add(id);
    }
  }

  #forget(nowUs: number): void {
    for (const [id, { heardUs }] of this.#processes) {
      if (nowUs - heardUs >= this.#forgetAfterUs) this.#processes.delete(id);
    }
  }
}
