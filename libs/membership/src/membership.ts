/**
 * Decides who is alive, from heartbeats and the broker's disconnect events, and who owns a key.
 *
 * A member that was not heard for `suspectAfterUs`, or whose connection the broker saw end, takes
 * no new work until it is heard again; a member that drains takes none either. Everyone who has
 * heard the same beats names the same owner (rendezvous hash), so losing one moves only what it
 * owned.
 *
 * What this process slept past is not the others' silence: what came meanwhile lies unread. Who is
 * silent is looked at twice, some time before the limit and at it, and a look that comes late only
 * doubts. A process that is on time suspects exactly at the limit; after a stall each member has a
 * moment in which it is heard, at most {@link LATE_LOOKS_MAX} times in a row.
 */

import { mix32, hash32 } from "@millrace/std";

export interface MembershipOptions {
  readonly suspectAfterUs: number;
  readonly forgetAfterUs: number;
}

/**
 * What a heartbeat changed. `restarted`: the same id, another process; what the old one held is
 * lost.
 */
export type Heard = "joined" | "returned" | "restarted" | "known";

interface Member {
  readonly id: string;
  readonly hash: number;
  incarnation: number;
  heardUs: number;
  /** When its silence is looked at next, and how often it was since it was heard. */
  lookUs: number;
  looks: number;
  suspect: boolean;
  draining: boolean;
}

/**
 * How long before the limit the first look is, and by how much a look may be late. More than the
 * time from one look to the next of those who look at their heartbeats only, every 100 ms.
 */
const AHEAD_US_MAX = 150_000;
/** Late looks count in the end: a process that always stalls must suspect somebody too. */
const LATE_LOOKS_MAX = 4;

export class Membership {
  readonly #members = new Map<string, Member>();
  readonly #options: MembershipOptions;
  readonly #aheadUs: number;
  /** Long enough for one that is on time to hear what lay unread. */
  readonly #hearingUs: number;
  /** Sorted by id, so that equal weights fall to the smaller id; undefined when out of date. */
  #alive: readonly Member[] | undefined;
  #aliveIds: readonly string[] | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#aheadUs = Math.min(AHEAD_US_MAX, Math.floor(options.suspectAfterUs / 2));
    this.#hearingUs = Math.floor(this.#aheadUs / 3);
  }

  /** A heartbeat of `id` arrived. */
  heard(id: string, incarnation: number, nowUs: number, draining = false): Heard {
    const member = this.#members.get(id);
    const lookUs = nowUs + this.#options.suspectAfterUs - this.#aheadUs;
    if (member === undefined) {
      const hash = Math.imul(hash32(id), 0x9e3779b1);
      const heard = { heardUs: nowUs, lookUs, looks: 0, suspect: false };
      this.#members.set(id, { id, hash, incarnation, ...heard, draining });
      this.#refresh();
      return "joined";
    }
    const restarted = member.incarnation !== incarnation;
    const changed = member.suspect || member.draining !== draining;
    const returned = member.suspect;
    member.incarnation = incarnation;
    member.heardUs = nowUs;
    member.lookUs = lookUs;
    member.looks = 0;
    member.suspect = false;
    member.draining = draining;
    if (changed) this.#refresh();
    if (restarted) return "restarted";
    return returned ? "returned" : "known";
  }

  /** The broker saw the connection end. False when `id` is unknown or suspect already. */
  lost(id: string): boolean {
    const member = this.#members.get(id);
    if (member === undefined || member.suspect) return false;
    member.suspect = true;
    this.#refresh();
    return true;
  }

  /** Marks who has been silent for too long; returns those that just became suspect. */
  expire(nowUs: number): readonly string[] {
    const suspects: string[] = [];
    let changed = false;
    for (const member of this.#members.values()) {
      if (!member.suspect && nowUs >= member.lookUs && this.#isSilent(member, nowUs)) {
        member.suspect = true;
        suspects.push(member.id);
        changed = true;
      }
      const isLong = nowUs - member.heardUs >= this.#options.forgetAfterUs;
      if (member.suspect && isLong) this.#members.delete(member.id);
    }
    if (changed) this.#refresh();
    return suspects;
  }

  /** A look that is due: the verdict, or when the next one is. */
  #isSilent(member: Member, nowUs: number): boolean {
    const isLate = nowUs - member.lookUs > this.#aheadUs;
    member.looks++;
    if (member.looks > (isLate ? LATE_LOOKS_MAX : 1)) return true;
    const limitUs = member.heardUs + this.#options.suspectAfterUs;
    member.lookUs = Math.max(limitUs, nowUs + this.#hearingUs);
    return false;
  }

  /** When `expire` is to be called next; Infinity when nobody is alive. */
  get nextChangeUs(): number {
    let next = Infinity;
    for (const member of this.#members.values()) {
      if (!member.suspect) next = Math.min(next, member.lookUs);
    }
    return next;
  }

  /** Ids that take new work, sorted. */
  get alive(): readonly string[] {
    this.#aliveIds ??= this.#aliveMembers.map((member) => member.id);
    return this.#aliveIds;
  }

  /** Alive, suspect or draining: not forgotten. */
  knows(id: string): boolean {
    return this.#members.has(id);
  }

  isAlive(id: string): boolean {
    const member = this.#members.get(id);
    return member !== undefined && !member.suspect && !member.draining;
  }

  /** The owner of a key among the alive; agrees with `rendezvousOwner` of std. */
  owner(key: string): string | undefined {
    const alive = this.#aliveMembers;
    if (alive.length === 1) return alive[0]?.id;
    const keyHash = hash32(key);
    let best = -1;
    let owner: string | undefined;
    for (const member of alive) {
      const weight = mix32(keyHash ^ member.hash);
      if (weight > best) {
        best = weight;
        owner = member.id;
      }
    }
    return owner;
  }

  get #aliveMembers(): readonly Member[] {
    this.#alive ??= [...this.#members.values()]
      .filter((member) => !member.suspect && !member.draining)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    return this.#alive;
  }

  #refresh(): void {
    this.#alive = undefined;
    this.#aliveIds = undefined;
  }
}
