/** What the price book and a driver have in common. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { ConfigError } from "@millrace/runtime";
import { expect, test } from "vitest";
import { offersOf } from "../src/open-fleet.ts";

const POOL = { kind: "gpu-l4", zone: "us-east-2a", lifecycle: "on-demand" } as const;

test("only what the driver has is bought", () => {
  const { kinds, offers } = offersOf(DEFAULT_PRICE_BOOK, [POOL, { ...POOL, kind: "unpriced" }]);
  expect(kinds.map(({ kind }) => kind)).toEqual([POOL.kind]);
  expect(offers).toEqual([expect.objectContaining(POOL)]);
});

test("a driver that has nothing of the price book is refused with both", () => {
  const pools = [{ ...POOL, zone: "moon" }];
  expect(() => offersOf(DEFAULT_PRICE_BOOK, pools)).toThrow(ConfigError);
  expect(() => offersOf(DEFAULT_PRICE_BOOK, pools)).toThrow(/gpu-l4.*moon.*has none of them/);
});
