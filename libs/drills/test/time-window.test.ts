/** The window of a drill in its own time zone. */

import { describe, expect, test } from "vitest";
import { closedReason, readDrill } from "../src/index.ts";
import { document } from "./fixtures.ts";

const read = readDrill(
  document({}, { window: { days: ["mon-fri"], from: "09:00", to: "15:00", tz: "Europe/Berlin" } }),
);
const window = read.ok ? read.value.window : undefined;

test.each([
  ["2026-11-23T23:00:00Z", true, "Monday night"],
  ["2026-11-24T05:59:00Z", true, "the morning after it"],
  ["2026-11-24T06:00:00Z", false, "when it is over"],
  ["2026-11-23T05:00:00Z", false, "the morning after a Sunday"],
])("a window over midnight is open at %s: %s, %s", (at, open) => {
  const over = { days: [1], fromMinute: 22 * 60, toMinute: 6 * 60, timeZone: "UTC" };
  expect(closedReason(over, Date.parse(at) * 1000) === undefined).toBe(open);
});

describe("closedReason", () => {
  test.each([
    ["2026-11-23T08:00:00Z", true, "Monday 09:00 in Berlin"],
    ["2026-11-23T07:59:00Z", false, "Monday 08:59 in Berlin"],
    ["2026-11-23T14:00:00Z", false, "Monday 15:00 in Berlin"],
    ["2026-11-22T10:00:00Z", false, "a Sunday"],
    ["2026-07-01T12:59:00Z", true, "Wednesday 14:59 in Berlin's summer"],
  ])("at %s it is open: %s, %s", (at, open) => {
    expect(window).toBeDefined();
    if (window === undefined) return;
    expect(closedReason(window, Date.parse(at) * 1000) === undefined).toBe(open);
  });
});
