/**
 * The last `capacity` numbers: their maximum and mean are kept ready, so that reading them is O(1).
 */
export class Ring {
  readonly #values: Float64Array;
  #count = 0;
  #next = 0;
  #max = 0;
  #sum = 0;

  constructor(capacity: number) {
    this.#values = new Float64Array(capacity);
  }

  get size(): number {
    return this.#count;
  }

  /** 0 when empty. */
  get max(): number {
    return this.#max;
  }

  /** 0 when empty. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  push(value: number): void {
    const values = this.#values;
    const dropped = this.#count === values.length ? (values[this.#next] as number) : undefined;
    values[this.#next] = value;
    this.#next = (this.#next + 1) % values.length;
    if (dropped === undefined) this.#count++;
    this.#sum += value - (dropped ?? 0);
    if (value >= this.#max) this.#max = value;
    else if (dropped === this.#max) this.#rescan();
  }

  #rescan(): void {
    let max = 0;
    for (let at = 0; at < this.#count; at++) max = Math.max(max, this.#values[at] as number);
    this.#max = max;
  }
}
