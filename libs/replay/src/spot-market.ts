/**
 * What a spot market does over time: per zone, the share of its usual spot workers that it can
 * give, and the moments at which it takes some back. Made from a recorded trace or drawn by seed.
 */

import { type Random, seededRandom } from "@millrace/std";

export interface SpotEvent {
  /** Since the start of the trace. */
  readonly atUs: number;
  /** Share of the zone's running spot workers that is taken back. */
  readonly reclaimed: number;
  /** Share of the zone's usual number that it can give from now on. */
  readonly available: number;
}

/** A recorded market of one zone. */
export interface SpotTrace {
  readonly name: string;
  readonly lengthUs: number;
  readonly events: readonly SpotEvent[];
}

export interface SpotMarket {
  /** For people: where it is from. */
  readonly description: string;
  /** By the zone's number, in order of time. */
  readonly zones: readonly (readonly SpotEvent[])[];
  readonly noticeUs: number;
}

/** AWS gives two minutes; GCP and Azure give 30 s. */
export const NOTICE_US = 120_000_000;

/**
 * The trace over and over for each zone, each zone starting at another point of it, evenly apart:
 * one recorded zone stands for several that fail at different times.
 */
export function marketOfTrace(trace: SpotTrace, zones: number, lengthUs: number): SpotMarket {
  const rotated = Array.from({ length: zones }, (_, zone) => {
    const offsetUs = Math.floor((trace.lengthUs * zone) / zones);
    const last = trace.events.findLast(({ atUs }) => atUs <= offsetUs);
    const events: SpotEvent[] = [{ atUs: 0, reclaimed: 0, available: last?.available ?? 1 }];
    for (let roundUs = -offsetUs; roundUs < lengthUs; roundUs += trace.lengthUs) {
      for (const event of trace.events) {
        const atUs = event.atUs + roundUs;
        if (atUs > 0 && atUs < lengthUs) events.push({ ...event, atUs });
      }
    }
    return events;
  });
  return {
    description: `${trace.name}, repeated, each of ${zones} zones starting at another point`,
    zones: rotated,
    noticeUs: NOTICE_US,
  };
}

const HOUR_US = 3_600_000_000;
/** A zone without spot workers for an hour on average, every 18 hours. */
const UP_HOURS = 18;
const DOWN_HOURS = 1;

/**
 * A market drawn by seed: zones fall out wholly and independently of each other. The times are
 * assumptions, between the calm of most published zones and the turmoil of the worst ones.
 */
export function drawnMarket(seed: number, zones: number, lengthUs: number): SpotMarket {
  const random = seededRandom(seed);
  return {
    description:
      `drawn with seed ${seed}: each of ${zones} zones gives nothing for ${DOWN_HOURS} h, every ` +
      `${UP_HOURS} h, on average`,
    zones: Array.from({ length: zones }, () => drawnZone(random.fork(), lengthUs)),
    noticeUs: NOTICE_US,
  };
}

function drawnZone(random: Random, lengthUs: number): SpotEvent[] {
  const events: SpotEvent[] = [{ atUs: 0, reclaimed: 0, available: 1 }];
  let atUs = 0;
  for (;;) {
    atUs += Math.ceil(random.exponential(UP_HOURS * HOUR_US));
    if (atUs >= lengthUs) return events;
    events.push({ atUs, reclaimed: 1, available: 0 });
    atUs += Math.ceil(random.exponential(DOWN_HOURS * HOUR_US));
    if (atUs < lengthUs) events.push({ atUs, reclaimed: 0, available: 1 });
  }
}
