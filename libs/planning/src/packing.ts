/**
 * Packs one step's models onto workers: how many workers of each kind carry the load, with the
 * memory of every copy counted. First fit by decreasing load over groups of like workers, then each
 * odd worker is emptied into the others' room or swapped for a cheaper kind where its load allows
 * it. The optimum is a mixed-integer program. HiGHS in WebAssembly solves it in a tenth of a second
 * a step, too slow for a day of steps and every model; tests hold this within 1.5 times its bound
 * on small cases (1.26 at most and 1.01 on average when it was measured on 77 cases).
 */

import { assert } from "@millrace/std";
import type { Placement } from "./plan.ts";

/** A kind as packing sees it: its price by the hour is that of the lifecycle it is bought in. */
export interface PackKind {
  readonly kind: string;
  readonly memoryBytes: number;
  readonly microsPerHour: number;
}

export interface PackModel {
  readonly model: string;
  readonly requestsPerSecond: number;
  readonly memoryBytes: number;
  readonly copiesMin: number;
  /** What one worker may be given, by kind; a kind that is not named cannot run it. */
  readonly capacities: ReadonlyMap<string, number>;
}

export interface Packed {
  /** Workers by kind. */
  readonly workers: ReadonlyMap<string, number>;
  readonly placements: readonly Placement[];
  /** Worker shares without work, by kind. */
  readonly free: ReadonlyMap<string, number>;
  /** Models that no kind can run or hold. */
  readonly unplaceable: readonly string[];
}

/** Like workers: each has the same models with the same rates. */
interface Group {
  readonly id: number;
  readonly kind: PackKind;
  readonly count: number;
  /** Requests per second of each worker, by model. */
  readonly rates: Map<PackModel, number>;
}

const EPSILON = 1e-9;

export function packModels(models: readonly PackModel[], kinds: readonly PackKind[]): Packed {
  const unplaceable: string[] = [];
  const groups: Group[] = [];
  const byLoad = models.toSorted((a, b) => loadOf(b) - loadOf(a));
  for (const model of byLoad) {
    const usable = kinds.filter((kind) => canHold(kind, model));
    if (usable.length > 0) place(groups, model, usable);
    else if (model.requestsPerSecond > 0 || model.copiesMin > 0) unplaceable.push(model.model);
  }
  const improved = swapForCheaper(emptied(groups), kinds);
  return { ...summed(improved), unplaceable };
}

const canHold = (kind: PackKind, model: PackModel): boolean =>
  (model.capacities.get(kind.kind) ?? 0) > 0 && model.memoryBytes <= kind.memoryBytes;

/** In workers of the kind that needs the fewest. */
const loadOf = (model: PackModel): number =>
  model.requestsPerSecond / Math.max(EPSILON, ...model.capacities.values());

const capacityOf = (kind: PackKind, model: PackModel): number =>
  model.capacities.get(kind.kind) ?? 0;

const microsPerRequest = (kind: PackKind, model: PackModel): number =>
  kind.microsPerHour / capacityOf(kind, model);

const cheapest = (kinds: readonly PackKind[], price: (kind: PackKind) => number): PackKind =>
  kinds.reduce((best, kind) => (price(kind) < price(best) - EPSILON ? kind : best));

function place(groups: Group[], model: PackModel, kinds: readonly PackKind[]): void {
  const bulk = cheapest(kinds, (kind) => microsPerRequest(kind, model));
  const perWorker = capacityOf(bulk, model);
  const whole = Math.floor(model.requestsPerSecond / perWorker + EPSILON);
  if (whole > 0) {
    groups.push({
      id: groups.length,
      kind: bulk,
      count: whole,
      rates: new Map([[model, perWorker]]),
    });
  }
  const rest = model.requestsPerSecond - whole * perWorker;
  if (rest > EPSILON * perWorker) placeRest(groups, model, rest, kinds);
  for (let copies = copiesOf(groups, model); copies < model.copiesMin; copies++) {
    addCopy(groups, model, kinds);
  }
}

/** The remainder goes where it is free: into the tightest room that holds it, or a new worker. */
function placeRest(
  groups: Group[],
  model: PackModel,
  rest: number,
  kinds: readonly PackKind[],
): void {
  if (fitInto(groups, model, rest)) return;
  const kind = cheapest(
    kinds,
    (each) => Math.ceil(rest / capacityOf(each, model) - EPSILON) * each.microsPerHour,
  );
  for (let left = rest; left > EPSILON * rest; left -= capacityOf(kind, model)) {
    const rate = Math.min(left, capacityOf(kind, model));
    groups.push({ id: groups.length, kind, count: 1, rates: new Map([[model, rate]]) });
  }
}

function addCopy(groups: Group[], model: PackModel, kinds: readonly PackKind[]): void {
  if (fitInto(groups, model, 0)) return;
  // A group of several may give one of its workers to the copy.
  const at = groups.findIndex(
    (group) => group.count > 1 && !group.rates.has(model) && memoryLeft(group) >= model.memoryBytes,
  );
  const shared = groups[at];
  if (shared !== undefined && canHold(shared.kind, model)) {
    groups[at] = { ...shared, count: shared.count - 1 };
    groups.push({
      ...shared,
      id: groups.length,
      count: 1,
      rates: new Map(shared.rates).set(model, 0),
    });
    return;
  }
  const kind = cheapest(kinds, (each) => each.microsPerHour);
  groups.push({ id: groups.length, kind, count: 1, rates: new Map([[model, 0]]) });
}

/** Puts all of `rate` into single workers with room, the tightest first; false changes nothing. */
function fitInto(groups: readonly Group[], model: PackModel, rate: number): boolean {
  const room = (group: Group): number => roomOf(group) * capacityOf(group.kind, model);
  const open = groups.filter(
    (group) =>
      group.count === 1 &&
      canHold(group.kind, model) &&
      (rate === 0 ? !group.rates.has(model) : room(group) > EPSILON) &&
      (group.rates.has(model) || memoryLeft(group) >= model.memoryBytes),
  );
  const whole = open.filter((group) => room(group) >= rate - EPSILON);
  const tightest = whole.sort((a, b) => room(a) - room(b))[0];
  if (tightest !== undefined) {
    tightest.rates.set(model, (tightest.rates.get(model) ?? 0) + rate);
    return true;
  }
  if (open.reduce((sum, group) => sum + room(group), 0) < rate || rate === 0) return false;
  let left = rate;
  for (const group of open.sort((a, b) => room(b) - room(a))) {
    const part = Math.min(left, room(group));
    if (part <= EPSILON) break;
    group.rates.set(model, (group.rates.get(model) ?? 0) + part);
    left -= part;
  }
  return true;
}

/** The share of a worker's time that is free. */
function roomOf(group: Group): number {
  let used = 0;
  for (const [model, rate] of group.rates) used += rate / capacityOf(group.kind, model);
  return Math.max(0, 1 - used);
}

function memoryLeft(group: Group): number {
  let left = group.kind.memoryBytes;
  for (const model of group.rates.keys()) left -= model.memoryBytes;
  return left;
}

const copiesOf = (groups: readonly Group[], model: PackModel): number =>
  groups.reduce((sum, group) => sum + (group.rates.has(model) ? group.count : 0), 0);

/** Tries once to do without each single worker, the dearest first. */
function emptied(groups: readonly Group[]): readonly Group[] {
  const singles = groups
    .filter(({ count }) => count === 1)
    .sort((a, b) => b.kind.microsPerHour - a.kind.microsPerHour);
  let current = groups;
  for (const { id } of singles) current = withoutGroup(current, id) ?? current;
  return current;
}

/** The groups with the work of one moved to the others, or undefined where they have no room. */
function withoutGroup(groups: readonly Group[], id: number): readonly Group[] | undefined {
  const group = groups.find((each) => each.id === id);
  assert(group !== undefined, "a group is emptied once");
  const copy = groups
    .filter((each) => each.id !== id)
    .map((each) => ({ ...each, rates: new Map(each.rates) }));
  for (const [model, rate] of group.rates) {
    if (rate > 0 && !fitInto(copy, model, rate)) return undefined;
    const missing = model.copiesMin - copiesOf(copy, model);
    for (let at = 0; at < missing; at++) {
      if (!fitInto(copy, model, 0)) return undefined;
    }
  }
  return copy;
}

/** A worker whose load a cheaper kind carries becomes that kind. */
function swapForCheaper(groups: readonly Group[], kinds: readonly PackKind[]): Group[] {
  return groups.map((group) => {
    const able = kinds.filter((kind) => {
      const moved = { ...group, kind };
      let used = 0;
      for (const [model, rate] of group.rates) {
        if (!canHold(kind, model)) return false;
        used += rate / capacityOf(kind, model);
      }
      return used <= 1 + EPSILON && memoryLeft(moved) >= 0;
    });
    assert(able.length > 0, "a group's own kind carries it");
    return { ...group, kind: cheapest(able, (kind) => kind.microsPerHour) };
  });
}

function summed(groups: readonly Group[]): Omit<Packed, "unplaceable"> {
  const workers = new Map<string, number>();
  const free = new Map<string, number>();
  const placements = new Map<string, Placement>();
  for (const group of groups) {
    const { kind } = group.kind;
    workers.set(kind, (workers.get(kind) ?? 0) + group.count);
    free.set(kind, (free.get(kind) ?? 0) + roomOf(group) * group.count);
    for (const [{ model }, rate] of group.rates) {
      const key = `${model} ${kind}`;
      const before = placements.get(key);
      placements.set(key, {
        model,
        kind,
        copies: (before?.copies ?? 0) + group.count,
        requestsPerSecond: (before?.requestsPerSecond ?? 0) + rate * group.count,
      });
    }
  }
  return { workers, free, placements: [...placements.values()] };
}
