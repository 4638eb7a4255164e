/** Turns: every key has its own, however long another's line is. */

import { expect, test } from "vitest";
import { Turns } from "../src/index.ts";

const drain = (turns: Turns<string>): string => {
  let taken = "";
  for (let value = turns.next(); value !== undefined; value = turns.next()) taken += value;
  return taken;
};

test("keys take turns, and a key's values keep their order", () => {
  const turns = new Turns<string>();
  for (const value of "12345") turns.add("long", value);
  for (const value of "ab") turns.add("short", value);
  turns.add("single", "x");
  expect(turns.size).toBe(8);
  expect(drain(turns)).toBe("1ax2b345");
  expect(turns.size).toBe(0);
});

test("a key that comes back stands behind those that waited", () => {
  const turns = new Turns<string>();
  turns.add("one", "1");
  turns.add("two", "a");
  expect(turns.next()).toBe("1");
  turns.add("one", "2");
  expect(drain(turns)).toBe("a2");
  expect(turns.next()).toBeUndefined();
});
