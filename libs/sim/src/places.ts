/**
 * Where the members of a run stand, and how their machines are paid for; the same for every life.
 */

import type { Lifecycle } from "@millrace/protocol";
import { hash32, mix32 } from "@millrace/std";

export const ZONES = ["east", "west"] as const;

export function zoneOf(seed: number, id: string): string {
  return mix32(hash32(id) ^ seed) % 2 === 0 ? ZONES[0] : ZONES[1];
}

export function placeOf(
  seed: number,
  id: string,
): { readonly zone: string; readonly lifecycle: Lifecycle } {
  const isSpot = mix32(hash32(id) ^ ~seed) % 2 === 0;
  return { zone: zoneOf(seed, id), lifecycle: isSpot ? "spot" : "on-demand" };
}
