/**
 * A queue that takes turns over keys, so that a long line of one key does not stand before the
 * short line of another (fair queueing: Nagle, RFC 970, 1985). Each turn is one value.
 */

export class Turns<T> {
  /** In the order of their turns; a key without a line is not there. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** At the end of the key's line; a key that had none takes its turn after all others. */
  add(key: string, value: T): void {
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, [value]);
    else line.push(value);
    this.#size++;
  }

  /** The first of the key whose turn it is. */
  next(): T | undefined {
    for (const [key, line] of this.#lines) {
      const value = line.shift();
      this.#lines.delete(key);
      if (line.length > 0) this.#lines.set(key, line);
      this.#size--;
      return value;
    }
    return undefined;
  }
}
