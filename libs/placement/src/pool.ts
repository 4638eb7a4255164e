/**
 * Finds a device for a model in constant time, whatever the number of devices.
 *
 * Every model has a stack of idle accelerators and one of idle CPUs. Entries leave lazily: a device
 * that took work for one model stays in the stacks of its others and is dropped when it comes to
 * the top there. A device is pushed only when it went idle and is not in the stack already, so the
 * cost of cleaning is paid once per push.
 */

import type { Tier } from "@millrace/protocol";
import type { DeviceState, Slot } from "./device.ts";
import { reluctance, type Wish } from "./preference.ts";

export interface PlacementOptions {
  /** Batches that one scheduler may have at one device: one runs, one waits. */
  readonly outstandingMax: number;
  /** A device is given its next batch this long before it is expected to be free. */
  readonly leadUs: number;
}

interface Holders<B> {
  readonly accelerators: Slot<B>[];
  readonly cpus: Slot<B>[];
  readonly devices: Set<DeviceState<B>>;
  /** Made when it is asked for; the devices have changed where it is undefined. */
  sample: readonly DeviceState<B>[] | undefined;
}

const anyDevice = (): boolean => true;

function takesWithin<B>(
  device: DeviceState<B>,
  nowUs: number,
  outstandingMax: number,
  leadUs: number,
): boolean {
  if (!device.available || device.reserved || device.outstanding.size >= outstandingMax)
    return false;
  return device.freeAtUs - nowUs <= leadUs;
}

const SAMPLE_MAX = 16;
/** Idle devices that are weighed against each other: enough to find one nearby among few zones. */
const WEIGHED_MAX = 16;
/** Above every reluctance: another is taken where there is one. */
const LATE = 16;
/** A device so long over its time is late; by less it is a message that is under way. */
const LATE_US = 5_000;

export class DevicePool<B> {
  readonly #options: PlacementOptions;
  readonly #devices = new Map<string, DeviceState<B>>();
  readonly #holders = new Map<string, Holders<B>>();
  readonly #none: ReadonlySet<DeviceState<B>> = new Set();
  #placed = 0;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  get(id: string): DeviceState<B> | undefined {
    return this.#devices.get(id);
  }

  get size(): number {
    return this.#devices.size;
  }

  values(): IterableIterator<DeviceState<B>> {
    return this.#devices.values();
  }

  add(device: DeviceState<B>): void {
    this.#devices.set(device.id, device);
    if (isPlaced(device)) this.#placed++;
  }

  /** Whether any device says where it stands or how it is paid for; else all are alike. */
  get hasPlaces(): boolean {
    return this.#placed > 0;
  }

  /** Forgets a device and everything it held. */
  remove(device: DeviceState<B>): void {
    device.available = false;
    this.setReady(device, new Set());
    if (this.#devices.delete(device.id) && isPlaced(device)) this.#placed--;
  }

  /** The device now holds exactly these models, ready to run. */
  setReady(device: DeviceState<B>, refs: ReadonlySet<string>): void {
    for (const [ref, slot] of device.ready) {
      if (refs.has(ref)) continue;
      slot.gone = true;
      if (!slot.listed) device.unlisted--;
      device.ready.delete(ref);
      const holders = this.#holdersOf(ref);
      holders.devices.delete(device);
      holders.sample = undefined;
      // What is left in its stacks are slots that are gone: versions come and go for ever (I6).
      if (holders.devices.size === 0) this.#holders.delete(ref);
    }
    for (const ref of refs) {
      if (device.ready.has(ref)) continue;
      const holders = this.#holdersOf(ref);
      const stack = device.accelerator ? holders.accelerators : holders.cpus;
      device.ready.set(ref, { device, stack, listed: false, gone: false });
      device.unlisted++;
      holders.devices.add(device);
      holders.sample = undefined;
    }
  }

  /** Devices that hold the model, busy ones and suspects included. */
  holders(ref: string): ReadonlySet<DeviceState<B>> {
    return this.#holders.get(ref)?.devices ?? this.#none;
  }

  /** Enough of the holders for an estimate: a large fleet is not walked for every batch. */
  sample(ref: string): readonly DeviceState<B>[] {
    const holders = this.#holders.get(ref);
    if (holders === undefined) return [];
    holders.sample ??= holders.devices.values().take(SAMPLE_MAX).toArray();
    return holders.sample;
  }

  /** True while the device may be sent one more batch (late binding: one runs, one waits). */
  takes(device: DeviceState<B>, nowUs: number): boolean {
    const { outstandingMax, leadUs } = this.#options;
    return takesWithin(device, nowUs, outstandingMax, leadUs);
  }

  /** The same for a batch that is full: it may go earlier, and one more may be under way. */
  takesFull(device: DeviceState<B>, nowUs: number): boolean {
    const leadUs = Math.max(this.#options.leadUs, device.fullLeadUs);
    return takesWithin(device, nowUs, this.#options.outstandingMax + 1, leadUs);
  }

  /**
   * True while work of the tier may be sent ahead of less urgent work that is bound there already:
   * the worker takes it first, after the run that is on (I4). A device that is late may hang.
   */
  takesAhead(device: DeviceState<B>, tier: Tier, nowUs: number): boolean {
    if (!device.available || device.reserved || device.outstanding.size < 2) return false;
    if (isLate(device, nowUs)) return false;
    const { batches } = device.behind(tier);
    return batches > 0 && device.outstanding.size - batches < this.#options.outstandingMax;
  }

  /**
   * When a device that does not take work now will, as far as is known; Infinity when it is full.
   */
  takesAtUs(device: DeviceState<B>): number {
    if (!device.available || device.outstanding.size >= this.#options.outstandingMax)
      return Infinity;
    if (device.reserved) return Infinity;
    return device.freeAtUs - this.#options.leadUs;
  }

  /** The device found no work: it is offered to whatever arrives next for its models. */
  idle(device: DeviceState<B>): void {
    if (device.unlisted === 0) return;
    for (const slot of device.ready.values()) {
      if (slot.listed) continue;
      slot.listed = true;
      slot.stack.push(slot);
    }
    device.unlisted = 0;
  }

  /**
   * An idle device for the model: accelerators first for realtime and standard, CPUs first for
   * batch. `spill` decides whether the other kind may serve when the preferred kind is busy.
   * `empty`: only a device that holds nothing will do. `wish` orders those of a kind; without it
   * they are alike. `tried`: those that had no use for what waits.
   */
  pick(
    ref: string,
    tier: Tier,
    nowUs: number,
    spill: (device: DeviceState<B>) => boolean,
    empty = false,
    wish?: Wish,
    tried?: ReadonlySet<DeviceState<B>>,
  ): DeviceState<B> | undefined {
    const holders = this.#holders.get(ref);
    if (holders === undefined) return undefined;
    const preferred = tier === 2 ? holders.cpus : holders.accelerators;
    const other = tier === 2 ? holders.accelerators : holders.cpus;
    if (!empty && tried === undefined) {
      return this.#find(preferred, nowUs, anyDevice, wish) ?? this.#find(other, nowUs, spill, wish);
    }
    const isUsable = (device: DeviceState<B>): boolean =>
      (!empty || device.outstanding.size === 0) && tried?.has(device) !== true;
    const isSpilled = (device: DeviceState<B>): boolean => isUsable(device) && spill(device);
    return (
      this.#find(preferred, nowUs, isUsable, wish) ?? this.#find(other, nowUs, isSpilled, wish)
    );
  }

  /**
   * The newest idle device that `usable` accepts, or with a wish the one of the newest that suits
   * it best; slots that are not idle any more are dropped.
   */
  #find(
    stack: Slot<B>[],
    nowUs: number,
    usable: (device: DeviceState<B>) => boolean,
    wish: Wish | undefined,
  ): DeviceState<B> | undefined {
    let best: DeviceState<B> | undefined;
    let least = Infinity;
    let weighed = 0;
    for (let at = stack.length - 1; at >= 0; at--) {
      const slot = stack[at] as Slot<B>;
      const { device } = slot;
      if (slot.gone || !this.takes(device, nowUs)) {
        stack.splice(at, 1);
        slot.listed = false;
        if (!slot.gone) device.unlisted++;
      } else if (usable(device)) {
        const cost =
          (wish === undefined ? 0 : reluctance(device, wish)) + (isLate(device, nowUs) ? LATE : 0);
        if (cost === 0) return device;
        if (cost < least) [best, least] = [device, cost];
        if (++weighed >= WEIGHED_MAX) break;
      }
    }
    return best;
  }

  #holdersOf(ref: string): Holders<B> {
    let holders = this.#holders.get(ref);
    if (holders === undefined) {
      holders = { accelerators: [], cpus: [], devices: new Set(), sample: undefined };
      this.#holders.set(ref, holders);
    }
    return holders;
  }
}

/** It should have finished what it holds: whoever is idle knows better when it takes more. */
const isLate = ({ freeAtUs, outstanding }: DeviceState<unknown>, nowUs: number): boolean =>
  outstanding.size > 0 && freeAtUs + LATE_US < nowUs;

const isPlaced = ({ lifecycle, zone }: DeviceState<unknown>): boolean =>
  zone !== undefined || lifecycle !== undefined;
