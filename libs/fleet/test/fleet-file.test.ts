/** The fleet file: what it may say, and what is said about one that is wrong. */

import { describe, expect, test } from "vitest";
import { type FileDriver, openFleet, parseFleetFile } from "../src/index.ts";

const nowUs = (): number => 0;

function problems(driver: FileDriver, source: string): readonly string[] {
  const parsed = parseFleetFile(driver, source);
  return parsed.ok ? [] : parsed.error;
}

describe("a fleet file", () => {
  test("names pools and how they are started, with defaults for the rest", async () => {
    const parsed = parseFleetFile(
      "command",
      `
command: ./fleet.sh
args: [--region, east]
pools:
  - { kind: gpu, zone: east, lifecycle: spot }
`,
    );
    expect(parsed).toEqual({
      ok: true,
      value: {
        driver: "command",
        command: "./fleet.sh",
        args: ["--region", "east"],
        timeoutSeconds: 20,
        pools: [{ kind: "gpu", zone: "east", lifecycle: "spot" }],
      },
    });
    if (!parsed.ok) throw new Error("it parsed");
    await using driver = await openFleet(parsed.value, nowUs);
    expect([driver.name, driver.pools]).toEqual([
      "command",
      [{ kind: "gpu", zone: "east", lifecycle: "spot" }],
    ]);
  });

  test("may be JSON, for Docker", async () => {
    const pool = { kind: "cpu", zone: "here", lifecycle: "on-demand", image: "millrace:local" };
    const parsed = parseFleetFile("docker", JSON.stringify({ pools: [pool] }));
    if (!parsed.ok) throw new Error(parsed.error.join("; "));
    await using driver = await openFleet(parsed.value, nowUs);
    expect(driver.name).toBe("docker");
  });

  test("is told everything that is wrong with it, line by line", () => {
    const source = `
targets:
  - kind: gpu
    zone: East!
    lifecycle: reserved
    name: workers
    replicas: 3
`;
    expect(problems("kubernetes", source)).toEqual([
      expect.stringMatching(/^line 4: targets\.0\.zone: expected 1 to 64 characters/),
      expect.stringMatching(/^line 5: targets\.0\.lifecycle: .*"on-demand" \| "spot"/),
      expect.stringMatching(/^line 7: targets\.0\.replicas: /),
    ]);
  });

  test("is refused with no pool, one twice, or none of a file at all", () => {
    expect(problems("command", "command: x\npools: []\n")).toEqual(["0 pools: expected 1 to 1000"]);
    const pool = "{ kind: gpu, zone: east, lifecycle: spot }";
    expect(problems("command", `command: x\npools: [${pool}, ${pool}]\n`)).toEqual([
      "gpu/east/spot is listed twice: expected each pool once",
    ]);
    expect(problems("docker", "pools: [oops\n")[0]).toMatch(/^line \d: /);
    expect(problems("docker", "")[0]).toMatch(/^line 1: the file: /);
  });
});
