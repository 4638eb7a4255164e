/**
 * The cloud in a replay: workers that take time to start, are billed from their order to their end,
 * and, where they are spot, are refused or taken back with a notice.
 */

import type { Offer, WorkerKind } from "@millrace/costing";
import type { Counted, Place } from "@millrace/planning";
import { assert, type Random } from "@millrace/std";
import type { SpotMarket } from "./spot-market.ts";

interface CloudWorker {
  readonly place: number;
  readonly readyAtUs: number;
  /** When it ends; Infinity while nobody ends it. */
  endsAtUs: number;
  /** When it stops taking work, a little before its end. */
  leavesAtUs: number;
}

export interface CloudOptions {
  readonly kind: WorkerKind;
  readonly offers: readonly Offer[];
  readonly startUpUs: number;
  readonly market: SpotMarket | undefined;
  /** Spot workers that a zone gives at its best. */
  readonly zonePool: number;
  readonly random: Random;
}

/** A released or noticed worker finishes what it has within this. */
const DRAIN_US = 10_000_000;
const NEVER = Number.POSITIVE_INFINITY;
const HOUR_SECONDS = 3_600;

export class Cloud {
  readonly #options: CloudOptions;
  readonly #offers: readonly Offer[];
  readonly #zones: readonly string[];
  readonly #available: number[];
  /** Next event of each zone's market. */
  readonly #cursors: number[];
  /** Next loss by chance of a spot worker somewhere. */
  #lossAtUs = NEVER;
  #workers: CloudWorker[] = [];
  #nextUs = 0;
  #microsPerHour = 0;
  #microSeconds = 0;
  readonly #secondsByPlace: number[];
  #interruptions = 0;
  #ready = 0;

  constructor(options: CloudOptions) {
    this.#options = options;
    this.#offers = options.offers.filter(({ kind }) => kind === options.kind.kind);
    this.#zones = [...new Set(this.#offers.map(({ zone }) => zone))];
    this.#available = this.#zones.map(() => 1);
    this.#cursors = this.#zones.map(() => 0);
    this.#secondsByPlace = this.#offers.map(() => 0);
  }

  /** Workers that take work now. */
  get ready(): number {
    return this.#ready;
  }

  /** Workers that are paid now. */
  get paid(): number {
    return this.#workers.length;
  }

  get paidSpot(): number {
    return this.#count((offer) => offer.lifecycle === "spot");
  }

  get interruptions(): number {
    return this.#interruptions;
  }

  /** Micro-dollars so far. */
  get micros(): number {
    return Math.round(this.#microSeconds / HOUR_SECONDS);
  }

  /** Worker-seconds so far, by place. */
  workerSeconds(): (Place & { readonly seconds: number })[] {
    return this.#offers.map(({ kind, zone, lifecycle }, at) => ({
      kind,
      zone,
      lifecycle,
      seconds: this.#secondsByPlace[at] ?? 0,
    }));
  }

  /** @returns how many of `count` the cloud starts; with `atOnce` they are ready now. */
  order(place: Place, count: number, nowUs: number, atOnce = false): number {
    const at = this.#placeOf(place);
    const given = place.lifecycle === "spot" ? Math.min(count, this.#spotLeft(place)) : count;
    for (let each = 0; each < given; each++) {
      const readyAtUs = nowUs + (atOnce ? 0 : this.#options.startUpUs);
      this.#workers.push({ place: at, readyAtUs, endsAtUs: NEVER, leavesAtUs: NEVER });
      this.#microsPerHour += this.#offers[at]?.microsPerHour ?? 0;
    }
    this.#drawLoss(nowUs);
    this.#schedule(nowUs);
    // That they are ready already is news for the next tick: nobody else would say so.
    if (atOnce) this.#nextUs = nowUs;
    return given;
  }

  release(place: Place, starting: number, ready: number, nowUs: number): void {
    const at = this.#placeOf(place);
    const staying = this.#workers.filter((each) => each.place === at && each.leavesAtUs === NEVER);
    const cancelled = staying.filter((each) => each.readyAtUs > nowUs).slice(0, starting);
    const drained = staying.filter((each) => each.readyAtUs <= nowUs).slice(0, ready);
    for (const worker of cancelled) [worker.leavesAtUs, worker.endsAtUs] = [nowUs, nowUs];
    for (const worker of drained) {
      [worker.leavesAtUs, worker.endsAtUs] = [nowUs, nowUs + DRAIN_US];
    }
    this.#settle(nowUs);
  }

  /** Bills the time since the last call, at what was paid during it. */
  bill(seconds: number): void {
    this.#microSeconds += this.#microsPerHour * seconds;
    for (const { place } of this.#workers) {
      this.#secondsByPlace[place] = (this.#secondsByPlace[place] ?? 0) + seconds;
    }
  }

  /** @returns whether anything about the workers has changed. */
  advance(nowUs: number): boolean {
    if (nowUs < this.#nextUs) return false;
    this.#playMarket(nowUs);
    if (nowUs >= this.#lossAtUs) this.#lose(nowUs);
    this.#settle(nowUs);
    return true;
  }

  counted(nowUs: number): Counted[] {
    const groups = this.#offers.map(({ kind, zone, lifecycle }) => ({
      kind,
      zone,
      lifecycle,
      starting: 0,
      ready: 0,
    }));
    for (const { place, readyAtUs, leavesAtUs, endsAtUs } of this.#workers) {
      const group = groups[place];
      // What is to end does not count, though it may work until then.
      if (group === undefined || leavesAtUs <= nowUs || endsAtUs !== NEVER) continue;
      if (readyAtUs <= nowUs) group.ready++;
      else group.starting++;
    }
    return groups;
  }

  #placeOf({ zone, lifecycle }: Place): number {
    const at = this.#offers.findIndex(
      (offer) => offer.zone === zone && offer.lifecycle === lifecycle,
    );
    assert(at !== -1, `nothing is offered ${lifecycle} in ${zone}`);
    return at;
  }

  #spotLeft({ zone }: Place): number {
    if (this.#options.market === undefined) return 0;
    const share = this.#available[this.#zones.indexOf(zone)] ?? 0;
    const there = this.#count((offer) => offer.lifecycle === "spot" && offer.zone === zone);
    return Math.max(0, Math.floor(share * this.#options.zonePool) - there);
  }

  #count(which: (offer: Offer) => boolean): number {
    let count = 0;
    for (const { place } of this.#workers) if (which(this.#offers[place] as Offer)) count++;
    return count;
  }

  #playMarket(nowUs: number): void {
    this.#options.market?.zones.forEach((events, zone) => {
      for (;;) {
        const event = events[this.#cursors[zone] ?? 0];
        if (event === undefined || event.atUs > nowUs) return;
        this.#cursors[zone] = (this.#cursors[zone] ?? 0) + 1;
        this.#available[zone] = event.available;
        if (event.reclaimed > 0) this.#reclaim(zone, event.reclaimed, nowUs);
      }
    });
  }

  #reclaim(zone: number, share: number, nowUs: number): void {
    for (const worker of this.#workers) {
      const offer = this.#offers[worker.place];
      if (offer?.lifecycle !== "spot" || offer.zone !== this.#zones[zone]) continue;
      if (worker.endsAtUs === NEVER && this.#options.random.chance(share)) {
        this.#interrupt(worker, nowUs);
      }
    }
  }

  #interrupt(worker: CloudWorker, nowUs: number): void {
    const noticeUs = this.#options.market?.noticeUs ?? 0;
    this.#interruptions++;
    worker.endsAtUs = nowUs + noticeUs;
    worker.leavesAtUs = Math.max(nowUs, worker.endsAtUs - DRAIN_US);
  }

  /** One spot worker, drawn, besides what the market does to whole zones. */
  #lose(nowUs: number): void {
    const spot = this.#workers.filter(
      ({ place, endsAtUs }) => endsAtUs === NEVER && this.#offers[place]?.lifecycle === "spot",
    );
    const worker = spot[this.#options.random.below(Math.max(1, spot.length))];
    if (worker !== undefined) this.#interrupt(worker, nowUs);
    this.#drawLoss(nowUs);
  }

  /** Chance has no memory, so the next loss may be drawn anew whenever the fleet changes. */
  #drawLoss(nowUs: number): void {
    let perHour = 0;
    for (const { place } of this.#workers)
      perHour += this.#offers[place]?.interruptionsPerHour ?? 0;
    const hours = perHour === 0 ? NEVER : this.#options.random.exponential(1 / perHour);
    this.#lossAtUs = nowUs + hours * HOUR_SECONDS * 1_000_000;
  }

  #settle(nowUs: number): void {
    const before = this.#workers.length;
    this.#workers = this.#workers.filter(({ endsAtUs }) => endsAtUs > nowUs);
    this.#microsPerHour = 0;
    for (const { place } of this.#workers) {
      this.#microsPerHour += this.#offers[place]?.microsPerHour ?? 0;
    }
    if (this.#workers.length !== before) this.#drawLoss(nowUs);
    this.#schedule(nowUs);
  }

  /** Finds the next moment at which something happens, and how many are ready until then. */
  #schedule(nowUs: number): void {
    let nextUs = this.#lossAtUs;
    let ready = 0;
    for (const { readyAtUs, leavesAtUs, endsAtUs } of this.#workers) {
      if (readyAtUs <= nowUs && leavesAtUs > nowUs) ready++;
      for (const atUs of [readyAtUs, leavesAtUs, endsAtUs]) {
        if (atUs > nowUs && atUs < nextUs) nextUs = atUs;
      }
    }
    this.#options.market?.zones.forEach((events, zone) => {
      const atUs = events[this.#cursors[zone] ?? 0]?.atUs ?? NEVER;
      if (atUs < nextUs) nextUs = atUs;
    });
    this.#nextUs = nextUs;
    this.#ready = ready;
  }
}
