/** The end of an accelerated day: what is compared with what, and whether the objective held. */

import { DEFAULT_PRICE_BOOK } from "@millrace/costing";
import { expect, test } from "vitest";
import { Accounts, renderEnd } from "../../src/up/elastic/day-view.ts";
import { NOTHING_PLAYED, type Played } from "../../src/up/elastic/player.ts";

const HOUR_US = 3_600_000_000;
const START_US = 1_769_385_600_000_000;

/** Two hours of one worker, of a day whose peak takes three. */
function endOf(played: Partial<Played>, isWhole = true): string {
  const load = { startUs: START_US, stepUs: 300_000_000, values: [300 * 130] };
  const accounts = new Accounts({ prices: DEFAULT_PRICE_BOOK, load, perWorker: 50 });
  const member = {
    id: "gpu-l4-1",
    kind: "gpu-l4",
    zone: "us-east-2a",
    lifecycle: "on-demand",
    state: "ready",
  } as const;
  accounts.pass([member], 2 * HOUR_US);
  const over = { startUs: START_US, endUs: START_US + 2 * HOUR_US, isWhole, objectiveMs: 300 };
  return renderEnd({ ...NOTHING_PLAYED, ...played }, accounts, over);
}

test("the static fleet is that of the time that passed", () => {
  const end = endOf({ sent: 20_000 });
  expect(end).toContain("The day that began at 2026-01-26 00:00 is over.");
  expect(end).toMatch(/worker-hours +2\.0, static 6\.0/);
  expect(end).toMatch(/cost +1\.96 USD, static 5\.87 USD: 33 % of it/);
  expect(end).toContain("static: 3 workers on demand");
});

test.each([
  [{ sent: 20_000, failed: 2, slow: 200 }, "held"],
  [{ sent: 20_000, failed: 3 }, "missed, too many failed"],
  [{ sent: 20_000, slow: 201 }, "missed, too many were slow"],
  [{ sent: 100, failed: 1, slow: 2 }, "missed, too many failed and too many were slow"],
  [{}, "nothing was asked"],
])("%o: %s", (played, verdict) => {
  const objective = "objective: at most 0.01 % failed and 1 % slower than 300 ms";
  expect(endOf(played)).toContain(`${objective}: ${verdict}\n`);
});

test("a day that was stopped says when", () => {
  expect(endOf({}, false)).toContain("was stopped at 2026-01-26 02:00.");
});
