/**
 * The waiting tickets of one model: a tier each for realtime, standard and batch, earliest deadline
 * first inside a tier. Tiers are strict, but a ticket that has waited `ageAfterUs` moves up one
 * tier, so that a steady stream above never starves what is below.
 */

import { Heap } from "@millrace/std";
import type { Ticket, Tier } from "@millrace/protocol";
import { DueRows } from "./due.ts";

/** A ticket in a queue, or in a batch. Mutable only in its place. */
export interface Queued {
  readonly ticket: Ticket;
  readonly ingress: string;
  readonly arrivedUs: number;
  readonly deadlineUs: number;
  /** From arrival to answer, as it was predicted when it came; 0 where nothing was known. */
  readonly predictedUs: number;
  /** The device that already works on the request: a hedge goes elsewhere. */
  readonly avoid: string | undefined;
  /** Where it waits now; ageing lowers it. 3 when it waits no more. */
  tier: Tier | 3;
}

const BATCH: Tier = 2;

export interface QueueOptions {
  /** Most tickets that wait for one model; one more is refused as QUEUE_FULL (I6). */
  readonly ticketsMax: number;
  readonly ageAfterUs: number;
}

const earlier = (a: Queued, b: Queued): boolean =>
  a.deadlineUs < b.deadlineUs || (a.deadlineUs === b.deadlineUs && a.ticket.seq < b.ticket.seq);

/** Entries leave the heap and the arrival order lazily: an entry whose `tier` differs is gone. */
class TierQueue {
  readonly heap = new Heap<Queued>(earlier);
  arrivals: Queued[] = [];
  arrivalsHead = 0;
  readonly due = new DueRows();
}

export class ModelQueue {
  readonly #tiers = [new TierQueue(), new TierQueue(), new TierQueue()] as const;
  readonly #rows: [number, number, number] = [0, 0, 0];
  readonly #options: QueueOptions;
  #size = 0;
  #batchRows = 0;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Tickets that wait. */
  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size >= this.#options.ticketsMax;
  }

  /** Rows that wait and were sent as batch, wherever they have moved up to. */
  get batchRows(): number {
    return this.#batchRows;
  }

  /** Rows that wait in `tier` and the tiers served before it. */
  rowsThrough(tier: Tier): number {
    let rows = this.#rows[0];
    if (tier > 0) rows += this.#rows[1];
    if (tier > 1) rows += this.#rows[2];
    return rows;
  }

  /** Rows that are served before a ticket of the tier with this deadline, to within 50 ms of it. */
  rowsAhead(tier: Tier, deadlineUs: number): number {
    const rows = this.rowsThrough(tier);
    if (this.#rows[tier] === 0 || deadlineUs === Infinity) return rows;
    return rows - this.#rows[tier] + this.#tiers[tier].due.before(deadlineUs);
  }

  push(entry: Queued): void {
    const tier = entry.tier as Tier;
    if (tier > 0) this.#tiers[tier].arrivals.push(entry);
    this.#enter(entry, tier);
  }

  /**
   * Moves up what has waited long enough, and forgets the order in which came what has left; called
   * once before a batch is formed, and now and then where none is.
   */
  age(nowUs: number): void {
    for (const tier of [1, 2] as const) {
      if (this.#tiers[tier].arrivals.length > 0) this.#ageTier(tier, nowUs);
    }
  }

  /** The ticket to serve next, still waiting. */
  peek(): Queued | undefined {
    if (this.#size === 0) return undefined;
    return this.#top(0) ?? this.#top(1) ?? this.#top(2);
  }

  /** What was sent as batch, wherever it has moved up to, the earliest deadline first. O(n). */
  batchWork(): readonly Queued[] {
    // One that moved up and was put back is in its heap twice.
    const found = new Set<Queued>();
    for (const tier of [0, 1, 2] as const) {
      for (const entry of this.#tiers[tier].heap.values()) {
        if (entry.tier === tier && entry.ticket.tier === BATCH) found.add(entry);
      }
    }
    return [...found].sort((a, b) => (earlier(a, b) ? -1 : 1));
  }

  /** The tier of `peek`, without ageing: cheap enough for every device that looks for work. */
  get topTier(): Tier | undefined {
    if (this.#rows[0] > 0) return 0;
    if (this.#rows[1] > 0) return 1;
    return this.#size > 0 ? 2 : undefined;
  }

  /** Takes what `peek` shows. */
  pop(): Queued | undefined {
    const top = this.peek();
    if (top === undefined) return undefined;
    this.#tiers[top.tier as Tier].heap.pop();
    this.#leave(top);
    return top;
  }

  /** Takes one of `batchWork`. */
  remove(entry: Queued): void {
    this.#leave(entry);
  }

  /** Puts back what was taken, before the next `age`: it keeps its place in the arrival order. */
  restore(entry: Queued, tier: Tier): void {
    entry.tier = tier;
    this.#enter(entry, tier);
  }

  /** The earliest deadline of what waits; Infinity when nothing does. */
  get earliestDeadlineUs(): number {
    let earliestUs = Infinity;
    if (this.#size === 0) return earliestUs;
    for (const tier of [0, 1, 2] as const) {
      earliestUs = Math.min(earliestUs, this.#top(tier)?.deadlineUs ?? Infinity);
    }
    return earliestUs;
  }

  /** Takes the tickets that are due by then, earliest first within a tier. */
  takeDue(deadlineUs: number): readonly Queued[] {
    const due: Queued[] = [];
    for (const tier of [0, 1, 2] as const) {
      for (let top = this.#top(tier); top !== undefined; top = this.#top(tier)) {
        if (top.deadlineUs > deadlineUs) break;
        this.#tiers[tier].heap.pop();
        this.#leave(top);
        due.push(top);
      }
    }
    return due;
  }

  /** Takes the tickets that match, wherever they wait. O(n): for cancellations and sweeps. */
  take(matches: (entry: Queued) => boolean): readonly Queued[] {
    const taken: Queued[] = [];
    for (const tier of [0, 1, 2] as const) {
      const { heap, arrivals } = this.#tiers[tier];
      const before = taken.length;
      for (const entry of heap.values()) {
        if (entry.tier !== tier || !matches(entry)) continue;
        // At once: an entry that moved up and was put back is in the heap twice.
        this.#leave(entry);
        taken.push(entry);
      }
      if (taken.length === before) continue;
      // I6: they have bodies, and below tickets that are always more urgent they would stay long.
      heap.removeWhere((entry) => entry.tier !== tier);
      const waiting = arrivals.slice(this.#tiers[tier].arrivalsHead);
      this.#tiers[tier].arrivals = waiting.filter((entry) => entry.tier === tier);
      this.#tiers[tier].arrivalsHead = 0;
    }
    return taken;
  }

  #enter(entry: Queued, tier: Tier): void {
    const queue = this.#tiers[tier];
    queue.heap.push(entry);
    queue.due.add(entry.deadlineUs, entry.ticket.rows);
    this.#rows[tier] += entry.ticket.rows;
    if (entry.ticket.tier === BATCH) this.#batchRows += entry.ticket.rows;
    this.#size++;
  }

  #leave(entry: Queued): void {
    const tier = entry.tier as Tier;
    this.#tiers[tier].due.add(entry.deadlineUs, -entry.ticket.rows);
    this.#rows[tier] -= entry.ticket.rows;
    if (entry.ticket.tier === BATCH) this.#batchRows -= entry.ticket.rows;
    this.#size--;
    entry.tier = 3;
  }

  #top(tier: Tier): Queued | undefined {
    const heap = this.#tiers[tier].heap;
    for (;;) {
      const top = heap.peek();
      if (top === undefined || top.tier === tier) return top;
      heap.pop();
    }
  }

  #ageTier(tier: 1 | 2, nowUs: number): void {
    const queue = this.#tiers[tier];
    const { arrivals } = queue;
    while (queue.arrivalsHead < arrivals.length) {
      const oldest = arrivals[queue.arrivalsHead] as Queued;
      if (oldest.tier === tier) {
        // A batch ticket needs the waiting time once more for its second step up.
        const steps = oldest.ticket.tier - tier + 1;
        if (nowUs - oldest.arrivedUs < steps * this.#options.ageAfterUs) break;
        this.#promote(oldest, (tier - 1) as Tier);
      }
      queue.arrivalsHead++;
    }
    if (queue.arrivalsHead === arrivals.length) {
      arrivals.length = 0;
      queue.arrivalsHead = 0;
    } else if (queue.arrivalsHead > 1024 && queue.arrivalsHead * 2 > arrivals.length) {
      arrivals.splice(0, queue.arrivalsHead);
      queue.arrivalsHead = 0;
    }
  }

  #promote(entry: Queued, tier: Tier): void {
    this.#leave(entry);
    entry.tier = tier;
    this.#enter(entry, tier);
    if (tier > 0) this.#tiers[tier].arrivals.push(entry);
  }
}
