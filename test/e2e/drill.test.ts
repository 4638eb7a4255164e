/**
 * Drills as a user runs them: one command that starts a cluster, hurts it, judges it and ends it.
 * The short mixed drill is green; and it is no drill that cannot fail: without retries, a killed
 * worker turns it red.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DrillResult, Journal } from "@millrace/drills";
import { ROOT } from "../support/workspace.ts";

const MAIN = join(ROOT, "services", "ctl", "src", "main.ts");
/** Starting and draining a cluster, a minute of load, and a busy machine. */
const DRILL_MS_MAX = 300_000;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-test-drill-"));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly result: DrillResult;
  readonly journal: Journal;
}

async function runDrill(file: string, name: string): Promise<Ran> {
  const report = join(directory, name);
  const json = join(directory, `${name}.json`);
  const words = ["chaos", "run", file, "--up", "--report", report, "--json", json];
  const child = spawn(process.execPath, [MAIN, ...words], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  const read = async (path: string): Promise<unknown> => {
    const content = await readFile(path, "utf8").catch(() => undefined);
    if (content === undefined) throw new Error(`no ${path}:\n${out}${err}`);
    return JSON.parse(content);
  };
  return {
    code: child.exitCode,
    out: `${out}${err}`,
    result: (await read(json)) as DrillResult,
    journal: (await read(join(report, "journal.json"))) as Journal,
  };
}

test("a minute of mixed faults fails nothing", { timeout: DRILL_MS_MAX }, async () => {
  const { code, out, result, journal } = await runDrill("chaos/mixed-short.yaml", "mixed");
  expect(out).toContain("\ngreen\n");
  expect(code, out).toBe(0);
  expect(result).toMatchObject({ lost: 0, duplicated: 0, stuck: 0, jobs: 200 });
  expect(result.requests).toBeGreaterThan(5_000);
  expect(result.faults.length).toBeGreaterThanOrEqual(10);
  // Almost all of it was done to those who had something to do, and to messages that there were.
  const hurt = result.faults.filter(({ targets }) => targets.length > 0);
  const unfelt = hurt.filter(({ idle, targets }) => idle.length === targets.length);
  expect(unfelt.length).toBeLessThanOrEqual(2);
  expect(result.faults.find(({ kind }) => kind === "duplicate")?.acted).toBeGreaterThan(0);
  expect(new Set(Object.values(result.invariants))).toEqual(new Set(["held"]));
  const before = "addedLatency availability duplicated failed faults invariants jobs lost";
  const keys = `${before} memory overload requests retryBudget stuck ticketsPerRequest`;
  expect(Object.keys(result).toSorted()).toEqual(keys.split(" "));
  expect(journal).toMatchObject({ status: "completed", deviated: false });
  const page = await readFile(join(directory, "mixed", "report.html"), "utf8");
  expect(page).toContain("--seed 42 --up");
  expect(page).not.toMatch(/NaN|undefined/);
});

const WITHOUT_RETRIES = `
title: A killed worker without retries
description: The same fault, with the ingress's retries and hedges turned off.
method:
${[1, 2, 3]
  .map(
    (id) => `  - type: action
    name: kill gpu-worker-${id}
    provider:
      type: process
      path: millrace
      arguments: chaos fault kill --id gpu-worker-${id} --for 1s
    pauses: {after: 2}
`,
  )
  .join("")}
extensions:
  - name: millrace
    load:
      requests-per-second: 300
      duration: 16s
      warm-up: 3s
      mix:
        - {model: mlp10m, deadline: 2s}
    blast: {max-targets: 3, max-fraction: 1, min-healthy: 0}
    objectives: {availability: 100, recovered-within: 60s}
    cluster:
      gpu-workers: 3
      cpu-workers: 1
      schedulers: 1
      settings: {MILLRACE_ATTEMPTS_MAX: 1}
`;

test("without retries, a killed worker turns a drill red", { timeout: DRILL_MS_MAX }, async () => {
  const file = join(directory, "without-retries.yaml");
  await writeFile(file, WITHOUT_RETRIES);
  const { code, out, result, journal } = await runDrill(file, "without");
  expect(code, out).toBe(1);
  expect(result.invariants["availability"]).toBe("broken");
  expect(result.failed).toBeGreaterThan(0);
  expect(Object.keys(journal.millrace.judgement.failures).join()).toContain("WORKER_LOST");
});
