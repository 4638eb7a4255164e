/**
 * `millrace forecast` and `millrace load`, run in this process; those with a cluster on a real
 * NATS.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { fitForecast } from "@millrace/forecasting";
import { createHistory, Documents } from "@millrace/history";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runProgram } from "../src/program.ts";

const HOUR_US = 3_600_000_000;
const START_US = Date.UTC(2026, 0, 5) * 1000;
const folder = mkdtempSync(join(tmpdir(), "millrace-forecast-"));

/** Daily and weekly waves with a little of everything else, without chance. */
const countAt = (hour: number): number => {
  const weekend = Math.floor(hour / 24) % 7 > 4 ? 0.5 : 1;
  const wave = 1 + 0.8 * Math.sin((2 * Math.PI * (hour % 24)) / 24);
  return Math.round(600 * weekend * wave * (1 + 0.1 * Math.sin(hour * 12.9898)));
};

function write(name: string, lines: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const rowsOf = (hours: number): string[] => [
  "timestamp,count",
  ...Array.from({ length: hours }, (_, hour) => {
    const at = new Date((START_US + hour * HOUR_US) / 1000).toISOString();
    return `${at},${countAt(hour)}`;
  }),
];

async function run(words: readonly string[], env: Record<string, string> = {}) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  let [out, err] = ["", ""];
  const spies = [
    vi.spyOn(console, "log").mockImplementation((line) => (out += `${line}\n`)),
    vi.spyOn(console, "error").mockImplementation((line) => (err += `${line}\n`)),
    vi.spyOn(process.stdout, "write").mockImplementation((part) => Boolean((out += part))),
  ];
  try {
    return { code: await runProgram(words), out, err };
  } finally {
    for (const spy of spies) spy.mockRestore();
    vi.unstubAllEnvs();
  }
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("forecast backtest", () => {
  test("writes exactly one row per method, with what it prints", async () => {
    const trace = write("month.csv", rowsOf(28 * 24));
    const json = join(folder, "rows.json");
    const methods = "ensemble,naive-168,naive-24,holt-winters,prophet";
    const ran = await run(["forecast", "backtest", trace, "--methods", methods, "--json", json]);
    expect(ran.err).toBe("");
    const rows = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    expect(rows.map((row) => row["method"])).toEqual(methods.split(","));
    for (const row of rows) {
      expect(Object.keys(row)).toEqual(["method", "wape", "ratioToLastWeek", "coverage95"]);
      expect(row["coverage95"]).toBeGreaterThan(0.7);
    }
    const [ensemble, week] = rows.map((row) => row["ratioToLastWeek"] as number);
    expect(week).toBe(1);
    expect(ensemble).toBeLessThan(1);
    expect(ran.out).toContain("against the same hour last week");
  });

  test("adds the trace and the geometric mean where there are several", async () => {
    const traces = [write("one.csv", rowsOf(240)), write("two.csv", rowsOf(264))];
    const json = join(folder, "several.json");
    const words = ["forecast", "backtest", ...traces, "--methods", "naive-24", "--json", json];
    expect((await run(words)).code).toBe(0);
    const rows = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    expect(rows.map((row) => row["trace"])).toEqual(["one.csv", "two.csv", "geometric mean"]);
  });

  test("says how many days are left out because nobody counted them", async () => {
    const rows = rowsOf(28 * 24);
    rows.splice(1 + 20 * 24, 3 * 24);
    const words = ["forecast", "backtest", write("hole.csv", rows), "--methods", "naive-24"];
    const { out } = await run(words);
    expect(out).toContain(
      "hole.csv: 10 days ahead, against the same hour last week; 3 days without",
    );
  });

  test("says what a short trace would need, or which season it took instead", async () => {
    const hour = await run(["forecast", "backtest", write("short.csv", rowsOf(50))]);
    expect(hour.code).toBe(1);
    expect(hour.err).toContain("spans 2.1 days; a backtest needs 4 days");
    const words = ["forecast", "backtest", write("six.csv", rowsOf(144)), "--methods", "ensemble"];
    expect((await run(words)).out).toContain("the same hour yesterday, as it is too short");
  });

  test("goes on where Prophet finds no fit, and says for how many days", async () => {
    // At the first origin, after 15 days, a single hour is known.
    const rows = rowsOf(24 * 24);
    rows.splice(2, 15 * 24 - 1);
    const json = join(folder, "failed.json");
    const methods = "ensemble,naive-168,prophet";
    const words = ["--methods", methods, "--json", json];
    const ran = await run(["forecast", "backtest", write("late.csv", rows), ...words]);
    expect(ran.code).toBe(0);
    expect(ran.out).not.toContain("left out");
    expect(ran.out).toMatch(
      /prophet failed on 1 of 9 days, which count as naive-168's: Prophet: \w/,
    );
    const written = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    expect(written.map((row) => [row["method"], row["failedDays"]])).toEqual([
      ["ensemble", undefined],
      ["naive-168", undefined],
      ["prophet", 1],
    ]);
  });

  test("tests the other traces where one is too short or idle, and fails in the end", async () => {
    const idle = rowsOf(240).map((row) => row.replace(/,\d+$/, ",0"));
    const traces = [
      write("idle.csv", idle),
      write("few.csv", rowsOf(50)),
      write("good.csv", rowsOf(240)),
    ];
    const json = join(folder, "others.json");
    const words = ["forecast", "backtest", ...traces, "--methods", "naive-24", "--json", json];
    const ran = await run(words);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/idle.csv: the days to forecast have no requests at all\n.*few.csv: /);
    const written = JSON.parse(readFileSync(json, "utf8")) as Record<string, unknown>[];
    expect(written.map((row) => row["trace"])).toEqual(["good.csv"]);
  });

  test("refuses an unknown method, and a wrong file with its line", async () => {
    const trace = write("ten.csv", rowsOf(240));
    const unknown = await run(["forecast", "backtest", trace, "--methods", "oracle"]);
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('"oracle"')]);
    const negative = write("negative.csv", [...rowsOf(2), "2026-01-05T02:00:00Z,-4"]);
    const wrong = await run(["forecast", "backtest", negative]);
    expect(wrong.err).toContain("line 4: count -4 is negative");
  });
});

describe("forecast show", () => {
  test("draws the day after a trace, and writes it as an SVG", async () => {
    const svg = join(folder, "forecast.svg");
    const trace = write("fortnight.csv", rowsOf(14 * 24));
    const ran = await run(["forecast", "show", "--csv", trace, "--plot", "--svg", svg]);
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/[\u2801-\u28ff]/);
    expect(ran.out).toContain("2026-01-19T00:00:00Z");
    expect(readFileSync(svg, "utf8")).toMatch(/^<svg|^<\?xml/);
  });

  test("wants a model or a trace", async () => {
    expect((await run(["forecast", "show"])).code).toBe(2);
  });
});

describe("load check", () => {
  test("reports every repair with its line", async () => {
    const rows = rowsOf(240);
    rows.splice(100, 2);
    const ran = await run(["load", "check", write("gap.csv", rows)]);
    expect(ran.err).toContain("gap.csv:101: gap-filled: 2 steps from 2026-01-09T03:00:00Z");
    expect(ran.out).toContain("3600 s");
  });
});

describe("with a cluster", () => {
  let broker: Broker;
  let forecaster: Bus;
  let env: Record<string, string>;
  const silent = { debug() {}, info() {}, warn() {}, error() {} };

  beforeAll(async () => {
    broker = await startBroker({ directory: join(folder, "nats") });
    const connect = (user: "admin" | "forecaster"): Promise<Bus> =>
      connectBus({
        servers: [broker.url],
        name: "test",
        seed: readFileSync(broker.seedFile(user), "utf8").trim(),
        inboxPrefix: inboxPrefix(user),
        log: silent,
      });
    const admin = await connect("admin");
    await createHistory(admin.connection);
    await admin.drain();
    forecaster = await connect("forecaster");
    env = { MILLRACE_NATS_URL: broker.url, MILLRACE_NATS_SEED_FILE: broker.seedFile("admin") };
  });

  afterAll(async () => {
    await forecaster?.drain();
    await broker?.[Symbol.asyncDispose]();
  });

  test("what is imported is exported again, once, however often it came", async () => {
    const trace = write("day.csv", rowsOf(24));
    const first = await run(["load", "import", trace, "--model", "digits"], env);
    expect([first.err, first.out]).toEqual(["", expect.stringContaining("1440 minutes of digits")]);
    await run(["load", "import", trace, "--model", "digits"], env);
    const back = await run(["load", "export", "digits"], env);
    const lines = back.out.trim().split("\n");
    expect(lines).toHaveLength(1 + 24 * 60);
    const column = lines[0]?.split(",").indexOf("arrivals") ?? -1;
    const firstHour = lines.slice(1, 61).map((line) => Number(line.split(",")[column]));
    expect(firstHour.reduce((sum, count) => sum + count, 0)).toBe(countAt(0));
    expect(lines[1]).toContain("2026-01-05T00:00:00Z,60,digits,standard,all,,,");
  });

  test("the forecaster's document is shown, and its absence said", async () => {
    const missing = await run(["forecast", "show", "digits"], env);
    expect(missing.err).toContain("there is no forecast of digits");
    const values = Array.from({ length: 240 }, (_, hour) => countAt(hour));
    const history = { startUs: START_US, stepUs: HOUR_US, values };
    const content = fitForecast(history);
    const documents = await Documents.open(forecaster.connection);
    expect((await documents.put("digits", { epoch: 1, atUs: 0, content })).ok).toBe(true);
    const shown = await run(["forecast", "show", "digits", "--plot"], env);
    expect([shown.code, shown.out]).toEqual([0, expect.stringContaining("2026-01-15T00:00:00Z")]);
  });
});
