/**
 * Keeps work away from copies whose runs fail, by their workers' word, while another copy is well,
 * or is being loaded: what waits for it then is not spent on devices that fail it.
 *
 * Such a copy does not count as ready then. It is tried again now and then with a single ticket:
 * the worker takes its word back when that runs. Where all copies fail they take turns: each may be
 * well again before anybody has seen it, and a request that is tried again meets another device.
 */

import type { DevicePool, DeviceState } from "@millrace/placement";
import type { Batch } from "./dispatching.ts";

type Device = DeviceState<Batch>;

/** A copy that fails: when it was given a batch last, and when one ran all the same. */
interface Copy {
  triedUs: number;
  ranUs: number;
}

export class Failing {
  readonly #pool: DevicePool<Batch>;
  readonly #retryUs: number;
  /** Per device its models that fail. */
  readonly #devices = new Map<Device, Map<string, Copy>>();

  /** @param retryUs from one try of a copy that fails to the next, while another is better. */
  constructor(pool: DevicePool<Batch>, retryUs: number) {
    this.#pool = pool;
    this.#retryUs = retryUs;
  }

  /** True where a copy of the model fails, on whichever device. */
  has(ref: string): boolean {
    for (const copies of this.#devices.values()) if (copies.has(ref)) return true;
    return false;
  }

  /** Of the models that are loaded on the device, these fail. */
  heard(device: Device, refs: readonly string[], nowUs: number): void {
    const before = this.#devices.get(device);
    const copyOf = (ref: string): Copy => before?.get(ref) ?? { triedUs: nowUs, ranUs: -Infinity };
    if (refs.length === 0) this.#devices.delete(device);
    else this.#devices.set(device, new Map(refs.map((ref) => [ref, copyOf(ref)])));
  }

  forget(device: Device): void {
    this.#devices.delete(device);
  }

  /** True for a copy that fails and is to have no work now. */
  spares(device: Device, ref: string, nowUs: number): boolean {
    const copy = this.#devices.get(device)?.get(ref);
    if (copy === undefined || nowUs >= copy.triedUs + this.#retryUs) return false;
    if (this.#isWell(ref) || this.#isTurnOfAnother(ref, copy.triedUs)) return true;
    // One that runs some of its batches is better than waiting for a load.
    return nowUs >= copy.ranUs + this.#retryUs && this.#isComing(ref);
  }

  /** True for a copy that fails and may be tried: with as little as possible. */
  tries(device: Device, ref: string): boolean {
    return this.#devices.get(device)?.has(ref) === true && this.#isWell(ref);
  }

  /** A batch went to the device: where the model fails there, the next is another's. */
  sent(device: Device, ref: string, nowUs: number): void {
    const copy = this.#devices.get(device)?.get(ref);
    if (copy === undefined) return;
    copy.triedUs = nowUs;
    for (const [other, copies] of this.#devices) if (copies.has(ref)) this.#show(other, ref, nowUs);
  }

  /** A batch ran on the device. */
  ran(device: Device, ref: string, nowUs: number): void {
    const copy = this.#devices.get(device)?.get(ref);
    if (copy !== undefined) copy.ranUs = nowUs;
  }

  /** Looks at all again, after a change or some time; returns devices that may take more. */
  review(nowUs: number): readonly Device[] {
    const back: Device[] = [];
    for (const [device, copies] of this.#devices) {
      for (const ref of copies.keys()) if (this.#show(device, ref, nowUs)) back.push(device);
    }
    return back;
  }

  /** Lets the copy count as ready or not; true where it counts again. */
  #show(device: Device, ref: string, nowUs: number): boolean {
    const counts = !this.spares(device, ref, nowUs);
    if (device.ready.has(ref) === counts) return false;
    const ready = new Set(device.ready.keys());
    if (counts) ready.add(ref);
    else ready.delete(ref);
    this.#pool.setReady(device, ready);
    // Whoever looks for a device finds out whether it is idle.
    if (counts) this.#pool.idle(device);
    return counts;
  }

  #isWell(ref: string): boolean {
    for (const holder of this.#pool.holders(ref)) {
      if (holder.available && this.#devices.get(holder)?.has(ref) !== true) return true;
    }
    return false;
  }

  #isComing(ref: string): boolean {
    for (const { available, residents } of this.#pool.values()) {
      if (available && residents.get(ref)?.state === "loading") return true;
    }
    return false;
  }

  #isTurnOfAnother(ref: string, triedUs: number): boolean {
    for (const [{ available }, copies] of this.#devices) {
      if (available && (copies.get(ref)?.triedUs ?? Infinity) < triedUs) return true;
    }
    return false;
  }
}
