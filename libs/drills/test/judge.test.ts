/** Verdicts over ledgers that are made up: what turns which row red, and what may not. */

import { describe, expect, test } from "vitest";
import { present } from "@millrace/std";
import {
  availabilityOf,
  brokenGuard,
  type Evidence,
  faultEffects,
  judge,
  readDrill,
  seriesOf,
  verdictOf,
} from "../src/index.ts";
import { document, job, request } from "./fixtures.ts";

const read = readDrill(document());
const DRILL = present(read.ok ? read.value : undefined, "a sound drill");

const FAULT = {
  name: "kill a worker",
  kind: "kill",
  targets: ["gpu-worker-1"],
  idle: [],
  injectedUs: 10_000_000,
  endedUs: 12_000_000,
  end: "healed",
  detectedUs: 10_005_000,
  returnedUs: 12_500_000,
};

const EVIDENCE: Evidence = {
  requests: [request(), request()],
  jobs: [job()],
  faults: [FAULT],
  rest: [],
  refused: [],
  deviations: [],
  calmUntilUs: 5_000_000,
  endedUs: 30_000_000,
};

const brokenBy = (more: Partial<Evidence>): readonly string[] =>
  judge(DRILL, { ...EVIDENCE, ...more })
    .rows.filter(({ held }) => !held)
    .map(({ id }) => id);

describe("judge", () => {
  test("is green where everything held", () => {
    const judgement = judge(DRILL, EVIDENCE);
    expect(judgement.rows.filter(({ held }) => !held)).toEqual([]);
    expect(judgement).toMatchObject({ passed: true, requests: 2, failed: 0, jobs: 1, stuck: 0 });
  });

  test.each([
    ["an answer that never came", { ending: "unknown", status: 0 }, ["I1", "availability"]],
    ["a late answer", { endedUs: 9_000_000 }, ["I1", "availability"]],
    ["another's answer", { matched: "tiny-2" }, ["I2", "availability"]],
    ["wrong values", { matched: "" }, ["I2", "availability"]],
    [
      "a 503 in calm",
      { ending: "refused", status: 503, code: "WORKER_LOST" },
      ["I7", "availability"],
    ],
    ["a good input that was refused", { ending: "refused", status: 400 }, ["I7", "availability"]],
    ["a poison input that was answered", { poison: true, question: "" }, ["poison"]],
    [
      "a poison input that cost a worker",
      { poison: true, ending: "refused", status: 503, code: "WORKER_LOST" },
      ["poison"],
    ],
  ] as const)("is red for %s", (_, more, rows) => {
    expect(brokenBy({ requests: [request(), request(more)] })).toEqual(rows);
  });

  test("excuses a failure in the time of a fault from I7 alone", () => {
    const failed = request({ intendedUs: 10_500_000, ending: "refused", status: 503 });
    expect(brokenBy({ requests: [request(), failed] })).toEqual(["availability"]);
  });

  test("counts a limit as no failure", () => {
    const limited = request({ ending: "refused", status: 429, code: "RATE_LIMITED" });
    expect(brokenBy({ requests: [request(), limited] })).toEqual([]);
  });

  test.each([
    ["stuck", { endedUs: undefined, results: [] }],
    ["lost", { results: [] }],
    ["lost", { gone: true, endedUs: undefined, results: [] }],
    ["lost", { results: job().results.map((item) => ({ ...item, ok: false, code: "GIVEN_UP" })) }],
    ["duplicated", { ids: ["job-a", "job-b"] }],
    ["duplicated", { results: [...job().results, ...job().results] }],
  ] as const)("is red for a job that is %s", (what, more) => {
    const judgement = judge(DRILL, { ...EVIDENCE, jobs: [job(), job(more)] });
    expect(judgement[what]).toBe(1);
    expect(judgement.rows.find(({ id }) => id === "I5")?.held).toBe(false);
  });

  test("is red for a job never accepted, which is not lost, and where there was none", () => {
    const refused = job({ acceptedUs: undefined, endedUs: undefined, ids: [], results: [] });
    expect(judge(DRILL, { ...EVIDENCE, jobs: [job(), refused] })).toMatchObject({
      jobs: 1,
      jobsRefused: 1,
      lost: 0,
    });
    const jobs = { model: "tiny", count: 2, items: 2, endWithinUs: 60_000_000 };
    const withJobs = { ...DRILL, load: { ...DRILL.load, jobs } };
    const broken = (submitted: Evidence["jobs"]): readonly string[] =>
      judge(withJobs, { ...EVIDENCE, jobs: submitted })
        .rows.filter(({ held }) => !held)
        .map(({ id }) => id);
    expect(broken([job(), job()])).toEqual([]);
    expect(broken([job(), refused])).toEqual(["jobs"]);
    expect(broken([])).toEqual(["jobs"]);
  });

  test("is red for a job's item with another's result", () => {
    const [first, second] = job().results;
    const mixed = job({
      results: [{ ...present(first, "one"), matched: "tiny-9" }, present(second, "two")],
    });
    expect(brokenBy({ jobs: [mixed] })).toEqual(["I5"]);
  });

  test("is red where a fault was not injected, a guard broke, or something is left over", () => {
    expect(brokenBy({ refused: ["kill: FAULT_NO_TARGET"] })).toEqual(["faults"]);
    expect(brokenBy({ faults: [{ ...FAULT, kind: "duplicate", acted: 0 }] })).toEqual(["faults"]);
    expect(brokenBy({ faults: [{ ...FAULT, kind: "duplicate", acted: 1 }] })).toEqual([]);
    expect(brokenBy({ deviations: ["availability was 90"] })).toEqual(["hypothesis"]);
    const rest = [{ process: "scheduler-1", what: "queued rows", value: 3 }];
    expect(brokenBy({ rest })).toEqual(["I7"]);
  });

  test("says how many faults hit only members that had nothing to do", () => {
    const evidenceOf = (idle: readonly string[]): string | undefined =>
      judge(DRILL, { ...EVIDENCE, faults: [FAULT, { ...FAULT, idle }] }).rows.find(
        ({ id }) => id === "faults",
      )?.evidence;
    expect(evidenceOf([])).toBe("2 injected");
    expect(evidenceOf(FAULT.targets)).toBe("2 injected, 1 of them into idle members");
  });

  test("is red where a target never came back", () => {
    expect(brokenBy({ faults: [{ ...FAULT, returnedUs: undefined }] })).toEqual(["recovery"]);
  });
});

test("a fault that met nothing is red in a method, and not where a monkey drew it", () => {
  const faults = [{ ...FAULT, acted: 0 }];
  expect(brokenBy({ faults })).toEqual(["faults"]);
  const { rows } = judge({ ...DRILL, method: [] }, { ...EVIDENCE, faults });
  const found = rows.find(({ id }) => id === "faults");
  expect(found).toMatchObject({ held: true, evidence: "1 injected, 1 met nothing" });
});

test("a drill that nobody was asked anything in proves nothing", () => {
  expect(brokenBy({ requests: [] })).toContain("availability");
});

describe("faultEffects", () => {
  test("counts whom a fault touched and how long it hurt", () => {
    const slow = request({ intendedUs: 11_900_000, endedUs: 13_400_000 });
    const resent = request({ intendedUs: 11_900_000, endedUs: 13_000_000, attempts: 2 });
    const calm = request({ intendedUs: 11_000_000 });
    const [effect] = faultEffects([FAULT], [slow, resent, calm], 50_000);
    expect(effect).toMatchObject({ touched: 2, failed: 0, recoveredAfterUs: 1_000_000 });
  });

  test("sees harm for longer than a recovery may take", () => {
    const resent = request({ intendedUs: 12e6 + 65e6, endedUs: 12e6 + 65e6, attempts: 2 });
    const within = [60_000_000, 0].map((us) => {
      const [effect] = faultEffects([FAULT], [resent], 50_000, [], us);
      return (effect?.recoveredAfterUs ?? 0) > 60_000_000;
    });
    expect(within).toEqual([true, false]);
  });

  test("does not blame a fault for what the next one did", () => {
    const next = { ...FAULT, name: "next", injectedUs: 13_000_000, endedUs: 14_000_000 };
    const failed = request({ intendedUs: 13_500_000, ending: "refused", status: 503 });
    const effects = faultEffects([FAULT, next], [failed], 50_000);
    expect(effects.map(({ touched }) => touched)).toEqual([0, 1]);
  });
});

describe("availabilityOf", () => {
  test.each([
    [0, 29_958],
    [1, 47_439],
    [2, 62_958],
    [5, 105_131],
    [6, 118_424],
  ])("claims 99.99 %% for %d failures of %d, and not of one less", (failed, requests) => {
    expect(availabilityOf(requests, failed).lowerPercent).toBeGreaterThanOrEqual(99.99 - 1e-9);
    expect(availabilityOf(requests - 5, failed).lowerPercent).toBeLessThan(99.99);
  });

  test("claims nothing where nothing was asked or nothing was answered", () => {
    expect(availabilityOf(0, 0)).toEqual({ percent: 100, lowerPercent: 0 });
    expect(availabilityOf(10, 10)).toEqual({ percent: 0, lowerPercent: 0 });
  });
});

test("a verdict allows for a timer's turn past the deadline and no more", () => {
  expect(verdictOf(request({ endedUs: 1_000_000 + 2_250_000 }))).toBe("right");
  expect(verdictOf(request({ endedUs: 1_000_000 + 2_250_001 }))).toBe("failed");
});

test("a guard breaks on either side, and says nothing without a figure", () => {
  const guards = [
    { metric: "availability", windowUs: 10_000_000, bounds: { min: 90, max: 100 } },
  ] as const;
  expect(brokenGuard(guards, () => 95)).toBeUndefined();
  expect(brokenGuard(guards, () => undefined)).toBeUndefined();
  expect(brokenGuard(guards, () => 89.5)).toContain("availability was 89.5 over 10s");
});

test("the series count each request in its second and each job until it", () => {
  const requests = [
    request({ intendedUs: 100_000, endedUs: 110_000 }),
    request({ intendedUs: 200_000, endedUs: 300_000, attempts: 2 }),
    request({ intendedUs: 1_100_000, ending: "refused", status: 503 }),
  ];
  const samples = [3, 2].map((healthyWorkers, at) => ({
    atUs: 500_000 + at * 100_000,
    queuedRows: at,
    healthyWorkers,
    healthySchedulers: 2,
    openRequests: 1,
  }));
  const series = seriesOf(
    requests,
    [job({ submittedUs: 500_000, acceptedUs: 1_500_000 })],
    samples,
    3_000_000,
  );
  expect(series.right).toEqual([2, 0, 0]);
  expect(series.resent).toEqual([1, 0, 0]);
  expect(series.failed).toEqual([0, 1, 0]);
  expect([series.p50Ms[0], series.maxMs[0], series.p50Ms[2]]).toEqual([10, 100, null]);
  expect([series.healthyWorkers[0], series.queuedRows[0]]).toEqual([2, 1]);
  expect(series.jobsSubmitted).toEqual([1, 1, 1]);
  expect(series.jobsAccepted).toEqual([0, 1, 1]);
});
