/** Takes typed fields out of a located document and gathers what is wrong with them. */

import type { Located, Problem } from "./located-json.ts";

/** Beyond these a reader of the messages starts with the first anyway. */
const PROBLEMS_MAX = 20;

export class Fields {
  readonly #problems: Problem[];
  readonly #members: ReadonlyMap<string, Located>;
  readonly #path: string;
  readonly #line: number;

  /** @param known names that the object may have; any other is a problem. */
  constructor(node: Located, path: string, known: readonly string[], problems: Problem[]) {
    this.#problems = problems;
    this.#path = path;
    this.#line = node.line;
    const isObject = node.value instanceof Map;
    this.#members = isObject ? (node.value as ReadonlyMap<string, Located>) : new Map();
    if (!isObject) this.refuse("", "an object expected");
    for (const [name] of this.#members) {
      if (!known.includes(name)) this.refuse(name, `unknown; known are ${known.join(", ")}`);
    }
  }

  refuse(name: string, message: string): void {
    if (this.#problems.length >= PROBLEMS_MAX) return;
    const line = this.#members.get(name)?.line ?? this.#line;
    this.#problems.push({ path: this.pathOf(name), line, message });
  }

  pathOf(name: string): string {
    return this.#path === "" || name === "" ? this.#path + name : `${this.#path}.${name}`;
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  number(name: string, least: number, most: number, otherwise?: number): number {
    const node = this.#members.get(name);
    if (node === undefined && otherwise !== undefined) return otherwise;
    const value = node?.value;
    if (typeof value === "number" && value >= least && value <= most) return value;
    const found = node === undefined ? "is missing" : `is ${shown(node)}`;
    this.refuse(name, `a number from ${least} to ${most} expected, ${found}`);
    return least;
  }

  text(name: string, otherwise?: string): string {
    const node = this.#members.get(name);
    if (node === undefined && otherwise !== undefined) return otherwise;
    if (typeof node?.value === "string" && node.value !== "") return node.value;
    const found = node === undefined ? "is missing" : `is ${shown(node)}`;
    this.refuse(name, `a text expected, ${found}`);
    return "";
  }

  oneOf<T extends string>(name: string, choices: readonly [T, ...T[]]): T {
    const value = this.#members.get(name)?.value;
    const chosen = choices.find((choice) => choice === value);
    if (chosen !== undefined) return chosen;
    const node = this.#members.get(name);
    const found = node === undefined ? "is missing" : `is ${shown(node)}`;
    this.refuse(name, `one of ${choices.join(", ")} expected, ${found}`);
    return choices[0];
  }

  /** The items of a list with their paths; a missing or empty one is a problem. */
  list(name: string): readonly { readonly node: Located; readonly path: string }[] {
    const node = this.#members.get(name);
    const items = Array.isArray(node?.value) ? (node.value as readonly Located[]) : [];
    if (items.length === 0) this.refuse(name, "a list with at least one item expected");
    return items.map((item, at) => ({ node: item, path: `${this.pathOf(name)}[${at}]` }));
  }

  /** The members of an object of numbers. */
  numbers(name: string, least: number, most: number): ReadonlyMap<string, number> {
    const node = this.#members.get(name);
    if (node === undefined) return new Map();
    if (!(node.value instanceof Map)) {
      this.refuse(name, "an object of numbers expected");
      return new Map();
    }
    const keys = [...(node.value as ReadonlyMap<string, Located>).keys()];
    const inner = new Fields(node, this.pathOf(name), keys, this.#problems);
    return new Map(keys.map((key) => [key, inner.number(key, least, most)]));
  }
}

function shown(node: Located): string {
  if (node.value instanceof Map) return "an object";
  return Array.isArray(node.value) ? "a list" : JSON.stringify(node.value);
}
