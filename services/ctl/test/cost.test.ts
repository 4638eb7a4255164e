/** `millrace cost` and `millrace plan`, over what a forecaster and an ingress wrote down. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, inboxPrefix, startBroker, type User } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { createHistory, Documents, openLedger, openMinuteFacts } from "@millrace/history";
import { HOUR_US, MINUTE_US } from "@millrace/load-facts";
import type { LedgerEntry, LoadFact } from "@millrace/protocol";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runProgram } from "../src/program.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const SECOND_US = 1_000_000;

let directory: string;
let broker: Broker;
let forecaster: Bus;
let admin: Bus;
const open = new AsyncDisposableStack();

async function connect(user: User): Promise<Bus> {
  return open.use(
    await connectBus({
      servers: [broker.url],
      name: `${user}-test`,
      seed: broker.seed(user),
      inboxPrefix: inboxPrefix(user),
      log: silent,
    }),
  );
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-cost-"));
  broker = await startBroker({ directory });
  admin = await connect("admin");
  await createHistory(admin.connection);
  forecaster = await connect("forecaster");
});

afterAll(async () => {
  await open.disposeAsync();
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

async function run(
  ...words: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  vi.stubEnv("MILLRACE_NATS_URL", broker.url);
  vi.stubEnv("MILLRACE_NATS_SEED_FILE", broker.seedFile("admin"));
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

/** The ledger's clock need not be that of the machine. */
const FROM_US = Date.UTC(2026, 0, 15, 10) * 1_000;
const UNPRICED = { kind: "cpu-worker", zone: "local" } as const;
const FETCHED = 5_000_000_000;
const L4 = { kind: "gpu-l4", zone: "us-east-2a" } as const;

const minute = (at: number, change: Partial<LedgerEntry>): LedgerEntry => ({
  v: 1,
  atUs: FROM_US + at * MINUTE_US,
  spanUs: MINUTE_US,
  ...L4,
  lifecycle: "on-demand",
  workerUs: MINUTE_US,
  crossingBytes: 0,
  ...change,
});

const fact = (at: number, tenant: string, computeSeconds: number): LoadFact => ({
  v: 1,
  model: tenant === "key-1" ? "digits" : "words",
  priority: tenant === "key-1" ? "realtime" : "batch",
  source: "ingress-1",
  tenant,
  atUs: FROM_US + at * MINUTE_US,
  spanUs: MINUTE_US,
  arrivals: 100,
  served: 100,
  refused: 0,
  failed: 0,
  rows: 100,
  inputTokens: 0,
  outputTokens: 0,
  inputBytes: 0,
  outputBytes: 0,
  queueUs: 0,
  computeUs: computeSeconds * SECOND_US,
  crossingBytes: 500_000_000,
});

describe("without a forecaster", () => {
  test("a report says that nobody booked, and what to do", async () => {
    const { code, err } = await run("cost", "report");
    expect(code).toBe(1);
    expect(err).toContain("worker time is booked by a forecaster, and none ran");
    expect(err).toContain("run services/forecaster");
  });

  test("a plan that is not there is said to be none", async () => {
    const { code, err } = await run("plan", "show");
    expect(code).toBe(1);
    expect(err).toContain("there is no plan");
  });
});

describe("with two hours in the ledger", () => {
  // An hour of one worker on demand and one spot; then of the one on demand. An unpriced one, too.
  beforeAll(async () => {
    const ledger = openLedger(forecaster.connection);
    const facts = openMinuteFacts(admin.connection);
    const entries = Array.from({ length: 120 }, (_, at) => [
      minute(at, {}),
      ...(at < 60 ? [minute(at, { lifecycle: "spot" })] : []),
      ...(at < 30 ? [minute(at, { ...UNPRICED, crossingBytes: at === 0 ? FETCHED : 0 })] : []),
    ]).flat();
    const load = Array.from({ length: 60 }, (_, at) => [
      fact(at, "key-1", 45),
      fact(at, "key-2", 15),
    ]);
    const written = await Promise.all([
      ...entries.map((entry) => ledger.append(entry)),
      ...load.flat().map((each) => facts.append(each)),
    ]);
    const refused = written.find(({ ok }) => !ok);
    if (refused !== undefined) throw new Error(JSON.stringify(refused));
  });

  // On demand 0.978 an hour, spot in the first zone 0.374. 12,000 requests cross 60 GB at 0.02,
  // and a model that was fetched 5.
  const USED = 978_000 + 374_000;
  const IDLE = 978_000;
  const CROSSED = 60 * 20_000;
  const FETCHES = 5 * 20_000;

  test("the report's parts add up to its sum, and nobody's time is said to be idle", async () => {
    const file = join(directory, "report.json");
    const { code, out } = await run("cost", "report", "--since", "4h", "--json", file);
    expect(code).toBe(0);
    const report = JSON.parse(await readFile(file, "utf8"));
    expect(report).toMatchObject({
      costMicros: USED + IDLE + CROSSED + FETCHES,
      crossingMicros: CROSSED + FETCHES,
      requests: 12_000,
      byTenant: [
        { name: "key-1", requests: 6_000, costMicros: (USED * 3) / 4 + CROSSED / 2 },
        { name: "(none)", requests: 0, costMicros: IDLE + FETCHES },
        { name: "key-2", requests: 6_000, costMicros: USED / 4 + CROSSED / 2 },
      ],
      unpriced: [{ kind: "cpu-worker", zone: "local", workerMs: 1_800_000 }],
    });
    // An hour of device time in three and a half of workers.
    expect(report.utilisation).toBeCloseTo(1 / 3.5, 6);
    expect(out).toContain("unpriced");
    expect(out).toContain("71.4 % idle");
  });

  test("the static fleet is the busiest minute at nine tenths of use", async () => {
    const file = join(directory, "baseline.json");
    await run("cost", "report", "--json", file, "--baseline", "static-headroom");
    const { baseline } = JSON.parse(await readFile(file, "utf8"));
    // 60 s in a minute need 1.11 workers, so two, and half as many more; for two hours.
    expect(baseline).toMatchObject({ kind: "gpu-l4", workers: 3, costMicros: 3 * 2 * 978_000 });
  });

  test("a budget of the month that is spent says so", async () => {
    const { out } = await run("cost", "report", "--budget", "1");
    expect(out).toMatch(/budget: exceeded: \$3\.63 of \$1\.00 spent/);
  });

  test("the meter has a row for every key, and its costs are the report's", async () => {
    const { err, out } = await run("cost", "meter");
    const rows = out.trim().split("\n").slice(1);
    const sum = rows.reduce(
      (micros, row) => micros + Math.round(Number(row.split(",").at(-1)) * 1e6),
      0,
    );
    expect(rows.map((row) => row.split(",")[0])).toEqual(["(none)", "(none)", "key-1", "key-2"]);
    expect(sum).toBe(USED + IDLE + CROSSED + FETCHES);
    expect(err).toContain("unpriced: the price book has no such offer for cpu-worker");
    expect(err).not.toContain("refused");
  });

  test("the page has the forecast's band where there is a forecast", async () => {
    const documents = await Documents.open(forecaster.connection);
    const steps = 24 * 12;
    const content = {
      startUs: FROM_US + HOUR_US,
      stepUs: 300 * SECOND_US,
      mean: Array.from({ length: steps }, () => 500),
      quantiles: { "0.5": Array(steps).fill(500), "0.95": Array(steps).fill(900) },
      method: "level",
      weights: {},
    };
    const put = await documents.put("digits", { epoch: 1, atUs: FROM_US, content });
    expect(put.ok).toBe(true);
    const file = join(directory, "report.html");
    await run("cost", "report", "--html", file);
    const html = await readFile(file, "utf8");
    expect(html).toContain("forecast of the peak, median to 0.95");
    expect(html).toContain("Fleet by kind");
    expect(html).not.toMatch(/<script|src="http/);
  });

  test("a plan is shown by its changes, with the reasons", async () => {
    const documents = await Documents.open(forecaster.connection);
    const step = (at: number, count: number) => ({
      atUs: FROM_US + at * 300 * SECOND_US,
      workers: [{ ...L4, lifecycle: "spot", count }],
      microsPerHour: count * 374_000,
      reasons: [`${count} gpu-l4: ${count - 0.5} workers' load of digits`],
    });
    const content = {
      startUs: FROM_US,
      stepUs: 300 * SECOND_US,
      micros: 93_500,
      infeasible: [{ message: "the budget allows 2 of 3 workers" }],
      steps: [step(0, 1), step(1, 1), step(2, 2)],
    };
    const put = await documents.put("plan", { epoch: 1, atUs: FROM_US, content });
    expect(put.ok).toBe(true);
    const { out } = await run("plan", "show");
    expect(out).toContain("not met: the budget allows 2 of 3 workers");
    expect(out.match(/gpu-l4 spot in us-east-2a/g)).toHaveLength(2);
    expect(out).toContain("2 gpu-l4: 1.5 workers' load of digits");
  });
});

describe("what is asked for wrongly", () => {
  test.each([
    [["cost", "report", "--since", "soon"], "--since soon"],
    [["cost", "report", "--since", "0h"], "--since 0h"],
    [["cost", "report", "--baseline", "none"], "--baseline none"],
    [["cost", "report", "--budget", "-1"], "--budget -1"],
    [["cost", "meter", "--since", "9999d"], "--since 9999d"],
  ])("%j is refused before anything is read", async (words, named) => {
    const { code, err } = await run(...words);
    expect(code).toBe(2);
    expect(err).toContain(named);
  });

  test("a price book with a wrong line is refused with it", async () => {
    const file = join(directory, "prices.json");
    await writeFile(file, '{\n  "name": "x",\n  "zones": []\n}');
    const { code, err } = await run("cost", "report", "--price-book", file);
    expect(code).toBe(1);
    expect(err).toContain("line 3: zones: a list with at least one item expected");
  });
});
