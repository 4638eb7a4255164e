/**
 * Which of several idle devices a request should have: one in its caller's zone, and one that is
 * paid for in the way that suits its tier. Preferences order what is idle; none makes a request
 * wait for longer than what crossing costs is worth.
 */

import type { Lifecycle, Tier } from "@millrace/protocol";

export interface Place {
  readonly zone: string | undefined;
  readonly lifecycle: Lifecycle | undefined;
}

export interface Wish {
  readonly tier: Tier;
  /** The caller's; undefined where it is not known, and then every zone is as near. */
  readonly zone: string | undefined;
  /** A spot machine of the zone was told to end lately, so that others there may be next. */
  readonly isAtRisk: (zone: string) => boolean;
}

/** Crossing is paid for; a lifecycle that does not suit costs nobody anything yet. */
const CROSSING = 2;
const UNSUITED = 1;
/** A request that is lost with its machine is tried again, late: worse than crossing. */
const AT_RISK = 3;

/** 0 for the best there can be; among idle devices the least is taken. */
export function reluctance(place: Place, { isAtRisk, tier, zone }: Wish): number {
  const crosses = zone !== undefined && place.zone !== undefined && place.zone !== zone;
  const crossing = crosses ? CROSSING : 0;
  // Batch work leaves machines on demand to those that cannot be tried again in time.
  if (tier === 2) return crossing + (place.lifecycle === "on-demand" ? UNSUITED : 0);
  const isSpot = tier === 0 && place.lifecycle === "spot";
  return crossing + (isSpot && isAtRisk(place.zone ?? "") ? AT_RISK : 0);
}

export interface CrossingPrice {
  /** What a byte across zones costs, in microseconds of a device that is paid for. */
  readonly crossingUsPerByte: number;
  /** Nothing waits longer for a device nearby, whatever its bytes. */
  readonly nearWaitUsMax: number;
}

/**
 * How long an idle device elsewhere may be left idle for one nearby: as long as its time costs less
 * than the bytes would. With 0.02 a GB and 0.98 an hour a byte is worth 0.07 us.
 */
export const worthWaitingNearUs = (
  bytes: number,
  { crossingUsPerByte, nearWaitUsMax }: CrossingPrice,
): number => Math.min(nearWaitUsMax, Math.floor(bytes * crossingUsPerByte));
