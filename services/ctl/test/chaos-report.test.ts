/** The report of a drill, green and red, from its journal. */

import { describe, expect, test } from "vitest";
import {
  type Drill,
  type Journal,
  JOURNAL_VERSION,
  judge,
  readDrill,
  seriesOf,
} from "@millrace/drills";
import { htmlPage, markdownPage } from "@millrace/report";
import { present } from "@millrace/std";
import { percentText, reportOf } from "../src/chaos-report.ts";
import { renderVerdict } from "../src/chaos-show.ts";

const documentOf = (objectives: object) => ({
  title: "A <killed> worker",
  description: "One is killed.",
  method: [],
  extensions: [
    {
      name: "millrace",
      load: { "requests-per-second": 10, duration: "10s", mix: [{ model: "tiny" }] },
      objectives: { availability: 99, ...objectives },
    },
  ],
});
const drillOf = (objectives: object): Drill => {
  const read = readDrill(documentOf(objectives));
  return present(read.ok ? read.value : undefined, "a sound drill");
};
const DRILL = drillOf({});

function journalOf(failed: number, drill = DRILL, count = 100): Journal {
  const requests = Array.from({ length: count }, (_, at) => ({
    id: `request-${at}`,
    tenant: 0,
    model: "tiny",
    priority: "realtime" as const,
    intendedUs: at * 50_000,
    sentUs: at * 50_000,
    endedUs: at * 50_000 + 4_000,
    budgetUs: 2_000_000,
    attempts: 1,
    poison: false,
    ending: at < failed ? ("refused" as const) : ("answered" as const),
    status: at < failed ? 503 : 200,
    code: at < failed ? "WORKER_LOST" : "",
    question: "q",
    matched: at < failed ? "" : "q",
  }));
  const fault = {
    name: "kill",
    kind: "kill",
    targets: ["gpu-worker-1"],
    idle: [],
    injectedUs: 0,
    endedUs: 1_000_000,
    end: "healed",
    detectedUs: 5_000,
    returnedUs: 1_500_000,
  };
  const evidence = {
    requests,
    jobs: [],
    faults: [fault],
    rest: [],
    refused: [],
    deviations: [],
    calmUntilUs: 0,
    endedUs: 6_000_000,
    attempts: { requests: 100, repeated: 1_020, denied: 7 },
  };
  return {
    "chaoslib-version": "1",
    platform: "linux",
    node: "here",
    experiment: {},
    start: "2026-01-01T00:00:00.000Z",
    end: "2026-01-01T00:00:06.000Z",
    duration: 6,
    status: "completed",
    deviated: false,
    steady_states: { before: null, after: null, during: [] },
    run: [],
    rollbacks: [],
    millrace: {
      version: JOURNAL_VERSION,
      drill,
      seed: 9,
      durationUs: 6_000_000,
      aborted: "",
      command: "millrace chaos run chaos/x.yaml --seed 9 --up",
      versions: { node: "v24" },
      machine: { processors: "2 x any" },
      members: [{ id: "gpu-worker-1", role: "gpu-worker" }],
      sendLagUs: 300,
      memory: [],
      judgement: judge(drill, evidence),
      series: seriesOf(requests, [], [], 6_000_000),
    },
  };
}

/** As it is read from its file. */
const stored = (journal: Journal): Journal => JSON.parse(JSON.stringify(journal)) as Journal;

describe("a drill's report", () => {
  test("says green, how to do it again, and with which seed", () => {
    const html = htmlPage(reportOf(stored(journalOf(0))));
    expect(html).toContain("Green: every invariant and every objective held.");
    expect(html).toContain("millrace chaos run chaos/x.yaml --seed 9 --up");
    expect(html).toContain("A &lt;killed&gt; worker");
    expect(html.match(/<svg/g)?.length).toBe(4);
    expect(html).not.toMatch(/NaN|undefined/);
  });

  test("says red, which objective was missed, and what clients saw", () => {
    const text = markdownPage(reportOf(stored(journalOf(3))));
    expect(text).toContain("Red: availability did not hold.");
    expect(text).toContain("| 503 WORKER\\_LOST | 3 |");
    expect(text).toContain("Availability: 97 %");
  });

  test("says what a kind of fault added to latency, fault by fault", () => {
    const added = { fault: "kill", window: "6s" };
    const drill = drillOf({ "added-latency": added });
    const journal = stored(journalOf(0, drill));
    // Five seconds of requests have none of undisturbed time.
    expect(markdownPage(reportOf(journal))).toContain("too few requests to tell");
    const longer = journalOf(0, drill, 1_000);
    const text = markdownPage(reportOf(stored(longer)));
    expect(text).toContain("Added at p99: 0.0 ms");
    expect(text).toContain("| kill | 120 | 4.0 ms | 4.0 ms |");
    expect(text).toContain("| undisturbed | 880 | 4.0 ms |");
  });

  test("says how much of the budget of retries was used", () => {
    const text = markdownPage(reportOf(stored(journalOf(0, drillOf({ "retry-budget": {} })))));
    expect(text).toContain("Retries of allowed: 1,020 of 1,070");
    expect(text).toContain("Retries denied: 7");
  });

  test("is told in the terminal as well", () => {
    expect(renderVerdict(journalOf(0)).split("\n").at(-1)).toBe("green");
    expect(renderVerdict(journalOf(3))).toMatch(/BROKEN +availability/);
  });
});

test("a share is never rounded up to all", () => {
  expect(percentText(99.99999)).toBe("99.9999 %");
  expect(percentText(100)).toBe("100 %");
  expect(percentText(99.5)).toBe("99.5 %");
});
