/**
 * Spreads workers of one kind over lifecycles and zones: an on-demand base, spot beyond it with
 * some to spare, no zone with more than its share of the spot workers, and on demand again for what
 * spot cannot give (SpotHedge of SkyServe, EuroSys 2025). Workers that are there stay where they
 * are as far as the target allows, because moving one costs a start.
 */

import type { Lifecycle, Offer } from "@millrace/costing";
import type { Reason, SpotRules, WorkerGroup } from "./plan.ts";

/** What is known of the zones; the plan for a day ahead knows nothing. */
export interface Ground {
  /** Workers of the lifecycle there now. */
  readonly present: (zone: string, lifecycle: Lifecycle) => number;
  /** Whether more workers of the lifecycle may be asked for there. */
  readonly open: (zone: string, lifecycle: Lifecycle) => boolean;
  /** Workers of the lifecycle there that take work; all that are wanted unless given. */
  readonly ready?: (zone: string, lifecycle: Lifecycle) => number;
  /** Of all workers, those included that stand in for others; without a limit unless given. */
  readonly workersMax?: number;
}

const UNKNOWN: Ground = { present: () => 0, open: () => true };

/** @param count workers that the load needs. */
export function spreadWorkers(
  kind: string,
  count: number,
  offers: readonly Offer[],
  rules: SpotRules | undefined,
  ground: Ground = UNKNOWN,
): WorkerGroup[] {
  const onDemand = offersOf(kind, "on-demand", offers);
  const spot = rules === undefined ? [] : worthwhileSpot(onDemand[0], kind, offers, rules);
  if (rules === undefined || spot.length === 0) return spreadOnDemand(onDemand, count, ground);
  const { workersMax = Number.POSITIVE_INFINITY } = ground;
  const { base, spare } = splitWorkers(count, rules);
  const room = Math.max(0, workersMax - count);
  const groups = spreadSpot(spot, count - base + Math.min(spare, room), rules, ground);
  const placed = groups.reduce((sum, group) => sum + group.count, 0);
  // What spot does not give is bought on demand; the spare is not.
  const fallback = Math.max(0, count - base - placed);
  // Who stands in for spot stays until as many spot workers take work.
  const readyOf = ({ zone, count: each }: WorkerGroup): number =>
    Math.min(each, ground.ready?.(zone, "spot") ?? each);
  const taking = groups.reduce((sum, group) => sum + readyOf(group), 0);
  const standing = Math.min(presentOnDemand(onDemand, ground), count - taking);
  const kept = Math.max(base + fallback, standing);
  const staying = keepServing(spot, groups, count, onDemand, ground);
  const coming = limitComing(staying, workersMax - kept, readyOf, ground);
  return [...spreadOnDemand(onDemand, kept, ground), ...coming];
}

/** Spot that works, and is more than its zone should have, stays until what replaces it does. */
function keepServing(
  spot: readonly Offer[],
  groups: readonly WorkerGroup[],
  count: number,
  onDemand: readonly Offer[],
  { ready }: Ground,
): readonly WorkerGroup[] {
  if (ready === undefined) return groups;
  const dueIn = (zone: string): number => groups.find((each) => each.zone === zone)?.count ?? 0;
  let missing = count - onDemand.reduce((sum, { zone }) => sum + ready(zone, "on-demand"), 0);
  for (const { zone } of spot) missing -= Math.min(dueIn(zone), ready(zone, "spot"));
  const counts = spot.map(({ zone }) => {
    const more = Math.max(0, Math.min(missing, ready(zone, "spot") - dueIn(zone)));
    missing -= more;
    return dueIn(zone) + more;
  });
  return groupsOf(spot, counts);
}

/**
 * No more than `most`, by leaving out those that do not take work yet, dearest first: beside those
 * that they are to replace there is no room. Where the most are needed, stand-ins stay for long.
 * Those on their way are left out last: else they are ordered and cancelled in turn for ever.
 */
function limitComing(
  groups: readonly WorkerGroup[],
  most: number,
  readyOf: (group: WorkerGroup) => number,
  { present }: Ground,
): WorkerGroup[] {
  let excess = groups.reduce((sum, group) => sum + group.count, 0) - most;
  let limited = groups.toReversed();
  const onTheWay = (group: WorkerGroup): number =>
    Math.max(readyOf(group), present(group.zone, "spot"));
  for (const leastOf of [onTheWay, readyOf]) {
    limited = limited.map((group) => {
      const cut = Math.max(0, Math.min(excess, group.count - leastOf(group)));
      excess -= cut;
      return { ...group, count: group.count - cut };
    });
  }
  return limited.toReversed().filter((group) => group.count > 0);
}

/** The base on demand, and the spot workers beyond the need. */
export function splitWorkers(
  count: number,
  rules: SpotRules,
): { readonly base: number; readonly spare: number } {
  const least = Math.max(rules.onDemandMin, Math.ceil(count * rules.onDemandShareMin));
  const base = Math.min(count, least);
  return { base, spare: Math.round((count - base) * rules.overProvision) };
}

/** The need for which as many would be there, the spare of spot included. */
export function needBehind(
  kind: string,
  { onDemand, spot }: { readonly onDemand: number; readonly spot: number },
  offers: readonly Offer[],
  rules: SpotRules | undefined,
): number {
  const total = onDemand + spot;
  const [cheapest] = offersOf(kind, "on-demand", offers);
  if (rules === undefined || worthwhileSpot(cheapest, kind, offers, rules).length === 0)
    return total;
  let need = total;
  while (need > 0 && need + splitWorkers(need, rules).spare > total) need--;
  // More on demand than the base stand in for spot, which then has no spare.
  return onDemand > splitWorkers(need, rules).base ? total : need;
}

/** Never so few that the zones together could not hold what is wanted. */
function zoneMaxOf(wanted: number, zones: number, rules: SpotRules): number {
  if (zones <= 1) return wanted;
  return Math.max(Math.ceil(wanted / zones), Math.floor(wanted * rules.zoneShareMax));
}

function spreadSpot(
  spot: readonly Offer[],
  wanted: number,
  rules: SpotRules,
  ground: Ground,
): WorkerGroup[] {
  const zoneMax = zoneMaxOf(wanted, spot.length, rules);
  const counts = spot.map(({ zone }) => Math.min(zoneMax, ground.present(zone, "spot")));
  let placed = counts.reduce((sum, count) => sum + count, 0);
  // Cheapest zone first when adding, dearest first when taking away.
  spot.forEach(({ zone }, at) => {
    if (!ground.open(zone, "spot")) return;
    const given = Math.max(0, Math.min(wanted - placed, zoneMax - (counts[at] ?? 0)));
    counts[at] = (counts[at] ?? 0) + given;
    placed += given;
  });
  for (let at = spot.length - 1; at >= 0 && placed > wanted; at--) {
    const taken = Math.min(placed - wanted, counts[at] ?? 0);
    counts[at] = (counts[at] ?? 0) - taken;
    placed -= taken;
  }
  return groupsOf(spot, counts);
}

const lowestOf = (sorted: readonly Offer[]): Offer[] =>
  sorted.filter((offer) => offer.microsPerHour === sorted[0]?.microsPerHour);

const presentOnDemand = (sorted: readonly Offer[], ground: Ground): number =>
  sorted.reduce((sum, { zone }) => sum + ground.present(zone, "on-demand"), 0);

/**
 * One after the other over the zones that share the lowest price of those that may be asked, or of
 * all where none may: there is nothing else to stand in. Dearest zone first when taking away.
 */
function spreadOnDemand(sorted: readonly Offer[], count: number, ground: Ground): WorkerGroup[] {
  const open = sorted.filter(({ zone }) => ground.open(zone, "on-demand"));
  const asked = lowestOf(open.length === 0 ? sorted : open).map((offer) => sorted.indexOf(offer));
  if (asked.length === 0) return [];
  const counts = sorted.map(({ zone }) => ground.present(zone, "on-demand"));
  const countAt = (at: number): number => counts[at] ?? 0;
  const priceAt = (at: number): number => sorted[at]?.microsPerHour ?? 0;
  let placed = counts.reduce((sum, each) => sum + each, 0);
  for (; placed < count; placed++) {
    const at = asked.reduce((best, each) => (countAt(each) < countAt(best) ? each : best));
    counts[at] = countAt(at) + 1;
  }
  for (; placed > count; placed--) {
    const filled = [...counts.keys()].filter((at) => countAt(at) > 0);
    const at = filled.reduce((best, each) =>
      priceAt(each) > priceAt(best) || countAt(each) >= countAt(best) ? each : best,
    );
    counts[at] = countAt(at) - 1;
  }
  return groupsOf(sorted, counts);
}

/**
 * The most workers of a kind, at most `most`, that so much pays for by the hour where nothing is
 * there yet: the base on demand and the spare of spot count.
 */
export function workersPaid(
  kind: string,
  budgetMicrosPerHour: number,
  most: number,
  offers: readonly Offer[],
  rules: SpotRules | undefined,
): number {
  const isPaid = (count: number): boolean =>
    priceOf(spreadWorkers(kind, count, offers, rules), offers) <= budgetMicrosPerHour;
  let [low, high] = [0, 1];
  while (high < most && isPaid(high)) [low, high] = [high, 2 * high];
  for (high = Math.min(high, most); low < high;) {
    const middle = Math.ceil((low + high) / 2);
    if (isPaid(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

const groupsOf = (offers: readonly Offer[], counts: readonly number[]): WorkerGroup[] =>
  offers
    .map(({ kind, zone, lifecycle }, at) => ({ kind, zone, lifecycle, count: counts[at] ?? 0 }))
    .filter((group) => group.count > 0);

/** Spot offers, cheapest first, that are cheaper than on demand with their spare workers paid. */
function worthwhileSpot(
  onDemand: Offer | undefined,
  kind: string,
  offers: readonly Offer[],
  rules: SpotRules,
): Offer[] {
  if (onDemand === undefined) return [];
  const dearest = onDemand.microsPerHour / (1 + rules.overProvision);
  return offersOf(kind, "spot", offers).filter((offer) => offer.microsPerHour < dearest);
}

/** Offers of a kind and lifecycle, cheapest first, ties by the zone's name. */
const offersOf = (kind: string, lifecycle: Lifecycle, offers: readonly Offer[]): Offer[] =>
  offers
    .filter((offer) => offer.kind === kind && offer.lifecycle === lifecycle)
    .sort((a, b) => a.microsPerHour - b.microsPerHour || (a.zone < b.zone ? -1 : 1));

/** By the hour. */
export function priceOf(groups: readonly WorkerGroup[], offers: readonly Offer[]): number {
  let micros = 0;
  for (const { kind, zone, lifecycle, count } of groups) {
    const offer = offers.find(
      (each) => each.kind === kind && each.zone === zone && each.lifecycle === lifecycle,
    );
    micros += (offer?.microsPerHour ?? 0) * count;
  }
  return micros;
}

/** What one worker of a kind costs by the hour in the mix that the rules buy; undefined if none. */
export function blendedMicrosPerHour(
  kind: string,
  offers: readonly Offer[],
  rules: SpotRules | undefined,
): number | undefined {
  const onDemand = offersOf(kind, "on-demand", offers)[0];
  if (onDemand === undefined) return undefined;
  const spot = rules === undefined ? [] : worthwhileSpot(onDemand, kind, offers, rules);
  const [cheapest] = spot;
  if (rules === undefined || cheapest === undefined) return onDemand.microsPerHour;
  const onSpot = cheapest.microsPerHour * (1 + rules.overProvision);
  const share = rules.onDemandShareMin;
  return onDemand.microsPerHour * share + onSpot * (1 - share);
}

/** The reasons for a spread, as the plan states them. */
export function reasonsOfSpread(
  kind: string,
  needed: number,
  groups: readonly WorkerGroup[],
): Reason[] {
  const count = (lifecycle: Lifecycle): number =>
    groups.reduce((sum, group) => sum + (group.lifecycle === lifecycle ? group.count : 0), 0);
  const [base, spot] = [count("on-demand"), count("spot")];
  if (spot === 0) return [{ rule: "no-spot", kind }];
  return [
    { rule: "base", kind, workers: base },
    { rule: "spot", kind, workers: spot, need: needed - base },
  ];
}
