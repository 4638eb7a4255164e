/**
 * A map from whole numbers for what comes and goes quickly, such as open requests by their number.
 *
 * V8's Map takes a new table every few dozen insertions and deletions, and each dropped table still
 * points to its entries and to the next table. Once one of them is in the old generation, all that
 * follow are kept until the next full collection, with what they hold: an ingress that served tiny
 * requests copied 10 MB of answered ones at every collection of the young generation, 20 ms each.
 * Here a deleted entry is overwritten.
 *
 * Open addressing with linear probing; rising numbers fall into slots of their own.
 */
export class NumberMap<T extends object> {
  #keys: Uint32Array;
  #values: (T | undefined)[];
  #size = 0;

  constructor() {
    this.#keys = new Uint32Array(SLOTS_MIN);
    this.#values = emptySlots<T>(SLOTS_MIN);
  }

  get size(): number {
    return this.#size;
  }

  /** Numbers from 0 to 2^32 - 1. */
  get(key: number): T | undefined {
    return this.#values[this.#slotOf(key)];
  }

  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  set(key: number, value: T): void {
    const slot = this.#slotOf(key);
    if (this.#values[slot] === undefined) {
      if (2 * this.#size >= this.#keys.length) {
        this.#grow();
        this.set(key, value);
        return;
      }
      this.#size++;
    }
    this.#keys[slot] = key;
    this.#values[slot] = value;
  }

  /** False where there was none. */
  delete(key: number): boolean {
    const values = this.#values;
    const mask = values.length - 1;
    let hole = this.#slotOf(key);
    if (values[hole] === undefined) return false;
    this.#size--;
    // What was moved on past the hole by a collision moves back into it.
    for (let at = (hole + 1) & mask; values[at] !== undefined; at = (at + 1) & mask) {
      const home = (this.#keys[at] as number) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#keys[hole] = this.#keys[at] as number;
      values[hole] = values[at];
      hole = at;
    }
    values[hole] = undefined;
    return true;
  }

  /** The values that are there now, by rising slots: a copy, so the map may change meanwhile. */
  values(): T[] {
    return this.#values.filter((value) => value !== undefined);
  }

  /** Where the key is, or would be put. Half of the slots are free, so there is an end. */
  #slotOf(key: number): number {
    const values = this.#values;
    const mask = values.length - 1;
    let at = key & mask;
    while (values[at] !== undefined && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Uint32Array(2 * keys.length);
    this.#values = emptySlots<T>(2 * keys.length);
    this.#size = 0;
    for (const [at, value] of values.entries()) {
      if (value !== undefined) this.set(keys[at] as number, value);
    }
  }
}

const SLOTS_MIN = 64;

const emptySlots = <T>(count: number): (T | undefined)[] =>
  Array.from({ length: count }, () => undefined);
