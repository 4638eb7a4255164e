/** Drill files: those of the repository are sound, and a wrong one is refused with its line. */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { FAULT_FAMILIES, faultEntry } from "@millrace/protocol";
import { kindOf } from "@millrace/drills";
import { parseDrill } from "../src/chaos-file.ts";
import { CommandError } from "../src/failure.ts";

const DRILLS = fileURLToPath(new URL("../../../chaos/", import.meta.url));
const files = readdirSync(DRILLS).filter((name) => name.endsWith(".yaml"));

const drillOf = (name: string) => parseDrill(name, readFileSync(`${DRILLS}${name}`, "utf8")).drill;

const SOUND = readFileSync(`${DRILLS}broker.yaml`, "utf8");

/** What the command says of a file in which one text is replaced. */
function refusal(from: string, to: string): string {
  expect(SOUND).toContain(from);
  try {
    parseDrill("drill.yaml", SOUND.replace(from, to));
  } catch (error) {
    expect(error).toBeInstanceOf(CommandError);
    return (error as CommandError).message;
  }
  return "";
}

const lineOf = (text: string): number =>
  SOUND.split("\n").findIndex((line) => line.includes(text)) + 1;

describe("the drills of the repository", () => {
  test.each(files)("%s is sound", (name) => {
    const { method } = drillOf(name);
    // The monkey of the cluster that it is run against draws the faults of a soak.
    if (name === "soak.yaml") expect(method).toEqual([]);
    else expect(method.length).toBeGreaterThan(0);
  });

  test("cover every family of faults", () => {
    const kinds = files
      .flatMap((name) => drillOf(name).method)
      .flatMap((activity) => (activity.type === "action" ? (kindOf(activity) ?? []) : []));
    const families = new Set(kinds.map((kind) => faultEntry(kind).family));
    expect(FAULT_FAMILIES.filter((family) => !families.has(family))).toEqual([]);
  });

  test("mix at least 20 faults of 10 kinds at 200 requests a second for ten minutes", () => {
    const { method, load } = drillOf("mixed.yaml");
    const kinds = method.flatMap((activity) =>
      activity.type === "action" ? (kindOf(activity) ?? []) : [],
    );
    expect(kinds.length).toBeGreaterThanOrEqual(20);
    expect(new Set(kinds).size).toBeGreaterThanOrEqual(10);
    expect(load).toMatchObject({ requestsPerSecond: 200, durationUs: 600_000_000 });
    expect(load.jobs?.count).toBe(10_000);
  });
});

describe("a drill file that is wrong", () => {
  test.each([
    ["fault kill", "fault kil", "no fault kil"],
    ["requests-per-second: 100", "requests-per-second: many", '"many": expected a number'],
    ["blast:", "blasts:", "unknown key blasts"],
    ["duration: 45s", "duration: 6s", "has to be over 2s before the load of 6s ends"],
    ["--role nats", "--role db", "no role db"],
  ])("says at the line of %s what is wrong with %s", (from, to, message) => {
    const said = refusal(from, to);
    expect(said).toContain(message);
    const line = message.includes("before the load")
      ? lineOf("method:")
      : message.includes("no role")
        ? lineOf("- type: action")
        : lineOf(from);
    expect(said).toContain(`drill.yaml:${line}: `);
  });

  test("is refused with the line where it is no YAML", () => {
    expect(refusal("method:", "method: [")).toMatch(/^drill\.yaml:\d+: /);
  });

  test("may be JSON, and is read alike", () => {
    const { experiment, drill } = parseDrill("drill.yaml", SOUND);
    const json = JSON.stringify(experiment, undefined, 2);
    expect(parseDrill("drill.json", json).drill).toEqual(drill);
  });
});
