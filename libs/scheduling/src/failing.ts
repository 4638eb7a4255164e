/**
 * Keeps work away from copies whose runs fail, by their workers' word, while another copy is well.
 *
 * Such a copy does not count as ready then. It is tried again now and then with a single ticket: the
 * worker takes its word back when that runs. Where all copies fail they take turns: each may be well
 * again before anybody has seen it, and a request that is tried again meets another device.
 */

import type { DevicePool, DeviceState } from "@millrace/placement";
import type { Batch } from "./dispatching.ts";

type Device = DeviceState<Batch>;

export class Failing {
  readonly #pool: DevicePool<Batch>;
  readonly #retryUs: number;
  /** Per device its models that fail, and when each was tried last. */
  readonly #devices = new Map<Device, Map<string, number>>();

  /** @param retryUs from one try of a copy that fails to the next, while another is well. */
  constructor(pool: DevicePool<Batch>, retryUs: number) {
    this.#pool = pool;
    this.#retryUs = retryUs;
  }

  /** True where a copy of the model fails, on whichever device. */
  has(ref: string): boolean {
    for (const refs of this.#devices.values()) if (refs.has(ref)) return true;
    return false;
  }

  /** Of the models that are loaded on the device, these fail. */
  heard(device: Device, refs: readonly string[], nowUs: number): void {
    const before = this.#devices.get(device);
    if (refs.length === 0) this.#devices.delete(device);
    else this.#devices.set(device, new Map(refs.map((ref) => [ref, before?.get(ref) ?? nowUs])));
  }

  forget(device: Device): void {
    this.#devices.delete(device);
  }

  /** True for a copy that fails and is to have no work now. */
  spares(device: Device, ref: string, nowUs: number): boolean {
    const triedUs = this.#devices.get(device)?.get(ref);
    if (triedUs === undefined || nowUs >= triedUs + this.#retryUs) return false;
    return this.#isWell(ref) || this.#isTurnOfAnother(ref, triedUs);
  }

  /** True for a copy that fails and may be tried: with as little as possible. */
  tries(device: Device, ref: string): boolean {
    return this.#devices.get(device)?.has(ref) === true && this.#isWell(ref);
  }

  /** A batch went to the device: where the model fails there, it was another's turn now. */
  sent(device: Device, ref: string, nowUs: number): void {
    const own = this.#devices.get(device);
    if (own?.has(ref) !== true) return;
    own.set(ref, nowUs);
    for (const [other, refs] of this.#devices) if (refs.has(ref)) this.#show(other, ref, nowUs);
  }

  /** Looks at all of them again, after a change or some time; returns devices that may take more. */
  review(nowUs: number): readonly Device[] {
    const back: Device[] = [];
    for (const [device, refs] of this.#devices) {
      for (const ref of refs.keys()) if (this.#show(device, ref, nowUs)) back.push(device);
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

  #isTurnOfAnother(ref: string, triedUs: number): boolean {
    for (const [{ available }, refs] of this.#devices) {
      if (available && (refs.get(ref) ?? Infinity) < triedUs) return true;
    }
    return false;
  }
}
