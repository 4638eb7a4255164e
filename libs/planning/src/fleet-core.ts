/**
 * Turns a wanted number of workers into orders and releases. What is expected (asked for, starting)
 * counts beside what is ready, so nothing is asked for twice; nothing that carries load is released
 * before its replacement is ready; a zone that refuses spot workers is left alone for a while, and
 * on demand stands in. Counts come from heartbeats, not from the driver, so a driver that lies
 * about what runs is found out.
 */

import type { Lifecycle, Offer } from "@millrace/costing";
import type { SpotRules } from "./plan.ts";
import { spreadWorkers } from "./spreading.ts";

export interface Place {
  readonly kind: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
}

/** Workers of one place. Those that leave (notice given, draining) are in neither number. */
export interface Counted extends Place {
  /** The driver says that they exist; nothing was heard of them yet. */
  readonly starting: number;
  /** Heard of, and taking work. */
  readonly ready: number;
  /** What the driver says is ready, where it says so. */
  readonly claimedReady?: number;
}

export type FleetEvent =
  | { readonly type: "wanted"; readonly workers: number }
  | { readonly type: "counted"; readonly groups: readonly Counted[] }
  | ({ readonly type: "accepted"; readonly count: number } & Place)
  | ({ readonly type: "refused"; readonly count: number } & Place);

export type FleetEffect =
  | ({ readonly type: "order"; readonly count: number } & Place)
  /** Starting workers first; `ready` of them carry load now and drain. */
  | ({ readonly type: "release"; readonly starting: number; readonly ready: number } & Place)
  | ({ readonly type: "report"; readonly problem: FleetProblem; readonly message: string } & Place);

export type FleetProblem = "order-unanswered" | "driver-contradicted";

export interface FleetOptions {
  readonly kind: string;
  readonly offers: readonly Offer[];
  readonly spot: SpotRules | undefined;
  /** A zone that refused is asked again after this. */
  readonly refusedForUs: number;
  /** An order that neither succeeds nor fails within this is given up. */
  readonly answerWithinUs: number;
}

interface Group extends Place {
  asked: number;
  askedAtUs: number;
  starting: number;
  ready: number;
  closedUntilUs: number;
}

export class FleetCore {
  readonly #options: FleetOptions;
  readonly #groups: readonly Group[];
  /** Until it is told what is wanted, it lets what it finds be: it may have been restarted. */
  #wanted: number | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#groups = options.offers
      .filter(({ kind }) => kind === options.kind)
      .map(({ kind, zone, lifecycle }) => ({
        kind,
        zone,
        lifecycle,
        asked: 0,
        askedAtUs: 0,
        starting: 0,
        ready: 0,
        closedUntilUs: 0,
      }));
  }

  /** When a refused zone may be asked again; Infinity while none is closed. */
  get wakeAtUs(): number {
    let wakeUs = Number.POSITIVE_INFINITY;
    for (const { closedUntilUs, asked, askedAtUs } of this.#groups) {
      if (closedUntilUs > 0) wakeUs = Math.min(wakeUs, closedUntilUs);
      if (asked > 0) wakeUs = Math.min(wakeUs, askedAtUs + this.#options.answerWithinUs);
    }
    return wakeUs;
  }

  step(event: FleetEvent | { readonly type: "woke" }, nowUs: number): FleetEffect[] {
    const effects: FleetEffect[] = [];
    switch (event.type) {
      case "wanted":
        this.#wanted = event.workers;
        break;
      case "counted":
        this.#count(event.groups, effects);
        break;
      case "accepted": {
        const group = this.#groupOf(event);
        if (group !== undefined) {
          group.asked = Math.max(0, group.asked - event.count);
          group.starting += event.count;
        }
        return effects;
      }
      case "refused": {
        const group = this.#groupOf(event);
        if (group !== undefined) {
          group.asked = Math.max(0, group.asked - event.count);
          group.closedUntilUs = nowUs + this.#options.refusedForUs;
        }
        break;
      }
      case "woke":
        break;
    }
    this.#expire(effects, nowUs);
    if (this.#wanted !== undefined) this.#arrange(this.#wanted, effects, nowUs);
    return effects;
  }

  #groupOf(place: Place): Group | undefined {
    return this.#groups.find(
      ({ zone, lifecycle }) => zone === place.zone && lifecycle === place.lifecycle,
    );
  }

  #count(groups: readonly Counted[], effects: FleetEffect[]): void {
    for (const group of this.#groups) {
      const counted = groups.find(
        ({ zone, lifecycle }) => zone === group.zone && lifecycle === group.lifecycle,
      );
      group.starting = counted?.starting ?? 0;
      group.ready = counted?.ready ?? 0;
      const claimed = counted?.claimedReady;
      if (claimed === undefined || claimed === group.ready) continue;
      const { kind, zone, lifecycle } = group;
      const message = `the driver says ${claimed} are ready, ${group.ready} are heard of`;
      effects.push({
        type: "report",
        problem: "driver-contradicted",
        message,
        kind,
        zone,
        lifecycle,
      });
    }
  }

  /** Orders that nobody answered stop counting as expected. */
  #expire(effects: FleetEffect[], nowUs: number): void {
    for (const group of this.#groups) {
      if (group.closedUntilUs <= nowUs) group.closedUntilUs = 0;
      if (group.asked === 0 || nowUs < group.askedAtUs + this.#options.answerWithinUs) continue;
      const { kind, zone, lifecycle, asked } = group;
      const message = `${asked} workers were asked for and nothing came of it`;
      effects.push({ type: "report", problem: "order-unanswered", message, kind, zone, lifecycle });
      group.asked = 0;
      group.closedUntilUs = nowUs + this.#options.refusedForUs;
    }
  }

  #arrange(wanted: number, effects: FleetEffect[], nowUs: number): void {
    const { kind, offers, spot } = this.#options;
    const groups = this.#groups;
    const target = spreadWorkers(kind, wanted, offers, spot, {
      present: (zone, lifecycle) => {
        const group = this.#groupOf({ kind, zone, lifecycle });
        return group === undefined ? 0 : group.asked + group.starting + group.ready;
      },
      open: (zone, lifecycle) => this.#groupOf({ kind, zone, lifecycle })?.closedUntilUs === 0,
    });
    // Nothing ready goes before what replaces it is ready.
    let releasable = 0;
    for (const { ready } of groups) releasable += ready;
    for (const { count } of target) releasable -= count;
    for (const group of groups) {
      const { zone, lifecycle } = group;
      const due =
        target.find((each) => each.zone === zone && each.lifecycle === lifecycle)?.count ?? 0;
      const missing = due - group.asked - group.starting - group.ready;
      if (missing > 0) {
        group.asked += missing;
        group.askedAtUs = nowUs;
        effects.push({ type: "order", kind, zone, lifecycle, count: missing });
        continue;
      }
      const starting = Math.min(-missing, group.starting);
      const ready = Math.max(0, Math.min(-missing - starting, group.ready, releasable));
      if (starting + ready === 0) continue;
      releasable -= ready;
      group.starting -= starting;
      group.ready -= ready;
      effects.push({ type: "release", kind, zone, lifecycle, starting, ready });
    }
  }
}
