/** The map from numbers does what a Map does, collisions and growth included. */

import { describe, expect, test } from "vitest";
import { NumberMap, seededRandom } from "../src/index.ts";

const object = (name: string): { readonly name: string } => ({ name });

describe("a map from numbers", () => {
  test("gives what was set, and the last of what was set twice", () => {
    const map = new NumberMap<{ readonly name: string }>();
    expect(map.get(7)).toBeUndefined();
    map.set(7, object("first"));
    map.set(7, object("second"));
    map.set(0xffff_ffff, object("largest"));
    map.set(0, object("smallest"));
    expect(map.get(7)).toEqual(object("second"));
    expect(map.get(0xffff_ffff)).toEqual(object("largest"));
    expect(map.get(0)).toEqual(object("smallest"));
    expect(map.size).toBe(3);
  });

  test("says whether there was something to delete", () => {
    const map = new NumberMap<{ readonly name: string }>();
    map.set(3, object("three"));
    expect(map.delete(4)).toBe(false);
    expect(map.delete(3)).toBe(true);
    expect(map.delete(3)).toBe(false);
    expect(map.has(3)).toBe(false);
    expect(map.size).toBe(0);
  });

  test("finds what collided with a deleted number, also across the end of the slots", () => {
    const map = new NumberMap<{ readonly name: string }>();
    // The last slot of 64, three times over, and then the first.
    const keys = [63, 127, 191, 64];
    for (const key of keys) map.set(key, object(String(key)));
    map.delete(63);
    for (const key of keys.slice(1)) expect(map.get(key)).toEqual(object(String(key)));
    map.delete(191);
    expect(map.get(127)).toEqual(object("127"));
    expect(map.get(64)).toEqual(object("64"));
  });

  test("shows its values by rising numbers, and may change while they are walked", () => {
    const map = new NumberMap<{ readonly name: string }>();
    for (const key of [12, 10, 11]) map.set(key, object(String(key)));
    const seen: string[] = [];
    for (const { name } of map.values()) {
      seen.push(name);
      map.delete(Number(name));
    }
    expect(seen).toEqual(["10", "11", "12"]);
    expect(map.size).toBe(0);
  });

  test.for([1, 2, 3])("does what a Map does, over random steps of seed %i", (seed) => {
    const random = seededRandom(seed);
    const map = new NumberMap<{ readonly name: string }>();
    const model = new Map<number, { readonly name: string }>();
    for (let step = 0; step < 20_000; step++) {
      // Few enough to collide and to be deleted again, far enough apart to make it grow.
      const key = random.below(500) * (random.below(2) === 0 ? 1 : 64);
      if (random.below(3) === 0) {
        expect(map.delete(key)).toBe(model.delete(key));
      } else {
        const value = object(`${key} ${step}`);
        map.set(key, value);
        model.set(key, value);
      }
      expect(map.get(key)).toBe(model.get(key));
    }
    expect(map.size).toBe(model.size);
    for (const [key, value] of model) expect(map.get(key)).toBe(value);
    expect(new Set(map.values())).toEqual(new Set(model.values()));
  });
});
