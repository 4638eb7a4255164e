/** `millrace replay`, run in this process on small made traces. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { runProgram } from "../src/program.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-replay-"));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const rows = Array.from({ length: 3 * 288 }, (_, at) => {
  const count = Math.round(500 - 400 * Math.cos((2 * Math.PI * at) / 288));
  return `${new Date(Date.UTC(2026, 0, 5) + at * 300_000).toISOString()},${count}`;
});
const trace = write("days.csv", `timestamp,count\n${rows.join("\n")}\n`);

async function runCommand(...words: readonly string[]) {
  const out = vi.spyOn(console, "log").mockReturnValue();
  const err = vi.spyOn(console, "error").mockReturnValue();
  // Commander writes its own messages.
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const code = await runProgram(["replay", ...words]);
    const text = (spy: typeof out): string => spy.mock.calls.map(([line]) => line).join("\n");
    return { code, out: text(out), err: text(err) };
  } finally {
    for (const spy of [out, err, written]) spy.mockRestore();
  }
}

describe("millrace replay", () => {
  test("prints a row per policy with what was assumed, as JSON and HTML too", async () => {
    const [json, report] = [join(folder, "rows.json"), join(folder, "report.html")];
    const { code, out, err } = await runCommand(trace, "--json", json, "--report", report);
    expect([code, err]).toEqual([0, ""]);
    const written = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    expect(written).toHaveLength(10);
    for (const row of written) {
      expect(Object.keys(row)).toEqual([
        "policy",
        "cost",
        "costRatio",
        "failedShare",
        "slowShare",
        "utilisation",
      ]);
      expect(out).toContain(String(row["policy"]));
    }
    for (const said of ["skypilot-catalog", "drawn with seed 1", "P99.9 minute", "1.5x headroom"]) {
      expect(out).toContain(said);
    }
    const page = readFileSync(report, "utf8");
    expect(page.startsWith("<!doctype html>")).toBe(true);
    expect(page.match(/<svg/g)?.length).toBeGreaterThan(10);
    expect(page).not.toContain("NaN");
  });

  test("takes a spot trace, a price book and the settings that it names", async () => {
    const spot = write(
      "spot.csv",
      "t_seconds,event,node,alive_after\n0,add,a,1\n0,add,b,2\n3600,remove,a,1\n",
    );
    const book = write(
      "book.json",
      JSON.stringify({
        name: "house prices",
        zones: ["here"],
        kinds: [{ kind: "card", device: "gpu", memoryBytes: 1e10, startUpSeconds: 90 }],
        offers: [{ kind: "card", zone: "here", lifecycle: "on-demand", pricePerHour: 2 }],
      }),
    );
    const options = ["--spot", spot, "--price-book", book, "--peak-gpus", "4", "--days", "1"];
    const { code, out } = await runCommand(trace, ...options, "--policies", "static-peak,ours");
    expect(code).toBe(0);
    expect(out).toMatch(/static-peak +192\.00 +100\.0 %/);
    for (const said of ["house prices", "spot.csv", "ready 90 s after", "fills 4 card"]) {
      expect(out).toContain(said);
    }
  });

  test("plays the worst minutes through the scheduler, and says where it does not", async () => {
    const played = await runCommand(trace, "--days", "1", "--policies", "static-peak,step-rule");
    expect(played.out).toMatch(/static-peak +2026-01-0\S+ +60 +\d+ +0\.00 % \(0\.00 %\) +0\.0/);
    expect(played.out).toMatch(/step-rule .+ % \(\S+ %\) +[1-9]\S* % \([1-9]\S* %\)/);
    const many = ["--per-gpu", "100000", "--policies", "static-peak", "--days", "1"];
    const report = join(folder, "untried.html");
    const { out } = await runCommand(trace, ...many, "--report", report);
    expect(out).toMatch(/static-peak +- +- +- +- +-\n-: none to play: no requests, or over 250000/);
    expect(readFileSync(report, "utf8")).toContain("none to play");
  });

  test("prices an unbatched baseline by the gain that was measured", async () => {
    const { out } = await runCommand(trace, "--days", "1", "--batching-gain", "2");
    expect(out).toContain("against unbatched, 1.5x headroom, no spot");
    expect(out).toContain("2.00 (batching, as given)");
  });

  test.each([
    [["--peak-gpus", "0"], 2, "--peak-gpus 0"],
    [["--peak-gpus", "2.5"], 2, "--peak-gpus 2.5"],
    [["--start-up", "-1"], 2, "--start-up -1"],
    [["--start-up", "soon"], 2, "--start-up soon"],
    [["--deferrable", "1.1"], 2, "--deferrable 1.1"],
    [["--policies", "magic"], 2, 'no policy "magic"'],
    [["--kind", "abacus"], 2, "--kind abacus is not in the price book"],
    [["--price-book", write("bad.json", '{\n"name": 1 }')], 1, "bad.json: line 2: name: a text"],
    [["--spot", write("bad.csv", "a,b\n1,2\n")], 1, "bad.csv: line 1: columns a,b"],
    [["--spot", "nowhere.csv"], 1, "nowhere.csv"],
  ])("refuses %j before it writes anything", async (words, code, message) => {
    const json = join(folder, "never.json");
    const result = await runCommand(trace, ...words, "--json", json);
    expect(result.code).toBe(code);
    expect(result.err).toContain(message);
    expect(() => readFileSync(json)).toThrow("ENOENT");
  });

  test("says what of a trace it leaves out because nobody counted it", async () => {
    const gap = write("gap.csv", `timestamp,count\n${rows.toSpliced(500, 300).join("\n")}\n`);
    const { code, out, err } = await runCommand(gap, "--policies", "static-peak,ours");
    expect([code, err]).toEqual([0, expect.stringContaining("gap-left: 300 steps")]);
    expect(out).toContain("5.7 hours from 2026-01-06T12:00:00Z");
    expect(out).toContain("left out: 30.3 hours, so that no step is replayed that nobody counted");
  });

  test("refuses a trace at its line", async () => {
    const path = write("jump.csv", `timestamp,count\n${[rows[5], rows[2]].join("\n")}\n`);
    const { code, err } = await runCommand(path);
    expect(code).toBe(1);
    expect(err).toContain("line 3");
  });
});
