/**
 * Reads a parsed YAML or JSON document field by field. What is wrong is noted with its path, so
 * that whoever has the text can say the line; reading goes on, and all problems come at once.
 */

export type Path = readonly (string | number)[];

export interface Problem {
  /** From the root of the document to the value that is wrong. */
  readonly path: Path;
  /** What was wrong and what was expected. */
  readonly message: string;
}

/** Problems kept: a file that is something else altogether needs no thousand of them. */
const PROBLEMS_MAX = 50;

/** One value of the document, with the place that it is at. */
export class Reader {
  readonly #problems: Problem[];
  readonly path: Path;
  readonly value: unknown;

  private constructor(value: unknown, path: Path, problems: Problem[]) {
    this.value = value;
    this.path = path;
    this.#problems = problems;
  }

  static of(document: unknown): Reader {
    return new Reader(document, [], []);
  }

  /** Of the whole document. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  get absent(): boolean {
    return this.value === undefined;
  }

  wrong(message: string): void {
    if (this.#problems.length < PROBLEMS_MAX) {
      this.#problems.push({ path: this.path, message });
    }
  }

  /** The fields of an object, which may have no other keys. Those that are missing are absent. */
  fields<K extends string>(...keys: readonly K[]): Readonly<Record<K, Reader>> {
    const { value } = this;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isObject) this.wrong(`expected a mapping with ${keys.join(", ")}`);
    const entries = isObject ? (value as Readonly<Record<string, unknown>>) : {};
    for (const key of Object.keys(entries)) {
      if ((keys as readonly string[]).includes(key)) continue;
      const message = `unknown key ${key}: expected ${keys.join(", ")}`;
      new Reader(entries[key], [...this.path, key], this.#problems).wrong(message);
    }
    const read = (key: K): Reader => new Reader(entries[key], [...this.path, key], this.#problems);
    return Object.fromEntries(keys.map((key) => [key, read(key)])) as Record<K, Reader>;
  }

  /** The items of a list; none where it is absent. */
  items(most: number): readonly Reader[] {
    if (this.absent) return [];
    if (!Array.isArray(this.value)) {
      this.wrong("expected a list");
      return [];
    }
    if (this.value.length > most) {
      this.wrong(`a list of ${this.value.length}: expected at most ${most}`);
    }
    return this.value
      .slice(0, most)
      .map((item: unknown, at) => new Reader(item, [...this.path, at], this.#problems));
  }

  text(fallback?: string): string {
    if (this.absent && fallback !== undefined) return fallback;
    if (typeof this.value === "string" && this.value.trim() !== "") return this.value.trim();
    this.wrong(`${this.#shown}: expected a text`);
    return fallback ?? "";
  }

  number(least: number, most: number, fallback?: number): number {
    if (this.absent && fallback !== undefined) return fallback;
    const { value } = this;
    if (typeof value === "number" && value >= least && value <= most) return value;
    this.wrong(`${this.#shown}: expected a number from ${least} to ${most}`);
    return fallback ?? least;
  }

  whole(least: number, most: number, fallback?: number): number {
    const value = this.number(least, most, fallback);
    if (Number.isSafeInteger(value)) return value;
    this.wrong(`${this.#shown}: expected a whole number`);
    return least;
  }

  choice<T extends string>(choices: readonly T[], fallback?: T): T {
    if (this.absent && fallback !== undefined) return fallback;
    const found = choices.find((choice) => choice === this.value);
    if (found !== undefined) return found;
    this.wrong(`${this.#shown}: expected ${choices.join(", ")}`);
    return fallback ?? (choices[0] as T);
  }

  /** A span such as 250ms, 10s or 5m, or a plain number of seconds; in microseconds. */
  span(leastUs: number, mostUs: number, fallbackUs?: number): number {
    if (this.absent && fallbackUs !== undefined) return fallbackUs;
    const us = spanUs(this.value);
    if (us !== undefined && us >= leastUs && us <= mostUs) return us;
    const range = `${showSpan(leastUs)} to ${showSpan(mostUs)}`;
    this.wrong(`${this.#shown}: expected a time such as 250ms or 10s, from ${range}`);
    return fallbackUs ?? leastUs;
  }

  get #shown(): string {
    return this.absent ? "missing" : JSON.stringify(this.value);
  }
}

const UNITS_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
};

/** Undefined where it is no span of time. A number is seconds, as in Chaos Toolkit's pauses. */
export function spanUs(value: unknown): number | undefined {
  if (typeof value === "number") return value >= 0 ? Math.round(value * 1_000_000) : undefined;
  const found = typeof value === "string" ? /^(\d+(?:\.\d+)?)(us|ms|s|m)$/.exec(value) : null;
  if (found === null) return undefined;
  return Math.round(Number(found[1]) * (UNITS_US[found[2] ?? ""] ?? 1));
}

/** The shortest text that {@link spanUs} reads as this. */
export function showSpan(us: number): string {
  if (us % 60_000_000 === 0 && us > 0) return `${us / 60_000_000}m`;
  if (us >= 1_000_000 || us === 0) return `${us / 1_000_000}s`;
  return us % 1_000 === 0 ? `${us / 1_000}ms` : `${us}us`;
}
