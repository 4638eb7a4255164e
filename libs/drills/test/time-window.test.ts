/** The window of a drill in its own time zone. */

import { describe, expect, test } from "vitest";
import { closedReason, readDrill } from "../src/index.ts";
import { document } from "./fixtures.ts";

const read = readDrill(
  document({}, { window: { days: ["mon-fri"], from: "09:00", to: "15:00", tz: "Europe/Berlin" } }),
);
const window = read.ok ? read.value.window : undefined;

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
