/** What faults of a kind add to latency: which requests count, and what turns it red. */

import { expect, test } from "vitest";
import { present } from "@millrace/std";
import { type InjectedFault, judge, type LedgerRequest, readDrill } from "../src/index.ts";
import { document, request } from "./fixtures.ts";

const SECOND_US = 1_000_000;

const drillWith = (objective: object) => {
  const read = readDrill(document({}, { objectives: { "added-latency": objective } }));
  return present(read.ok ? read.value : undefined, "a sound drill");
};
const DRILL = drillWith({ fault: "kill" });

const killed = (atS: number, more: Partial<InjectedFault> = {}): InjectedFault => ({
  name: `kill at ${atS} s`,
  kind: "kill",
  targets: ["gpu-worker-1"],
  idle: [],
  injectedUs: atS * SECOND_US,
  endedUs: (atS + 1) * SECOND_US,
  end: "healed",
  detectedUs: atS * SECOND_US + 5_000,
  returnedUs: atS * SECOND_US + 2_500_000,
  ...more,
});

/** A hundred requests a second from one moment to another, each of which takes so long. */
const asked = (fromS: number, toS: number, tookMs: number): readonly LedgerRequest[] =>
  Array.from({ length: Math.round((toS - fromS) * 100) }, (_, at) => {
    const intendedUs = Math.round(fromS * SECOND_US) + at * 10_000;
    return request({ intendedUs, endedUs: intendedUs + tookMs * 1_000 });
  });

const verdict = (
  requests: readonly LedgerRequest[],
  faults: readonly InjectedFault[],
  drill = DRILL,
) => {
  const judgement = judge(drill, {
    requests,
    jobs: [],
    faults,
    rest: [],
    refused: [],
    deviations: [],
    calmUntilUs: 5 * SECOND_US,
    endedUs: 30 * SECOND_US,
  });
  const row = judgement.rows.find(({ id }) => id === "added-latency");
  return { added: judgement.addedLatency, row: present(row, "the objective's row") };
};

test("the two seconds after a fault are held against the time between", () => {
  const requests = [...asked(5, 10, 4), ...asked(10, 12, 40), ...asked(12, 20, 4)];
  const { added, row } = verdict(requests, [killed(10)]);
  expect(row).toMatchObject({ held: true, violations: [] });
  expect(added).toMatchObject({
    disturbed: 200,
    disturbedP99Ms: 40,
    undisturbedP99Ms: 4,
    addedP99Ms: 36,
  });
  expect(added?.faults).toEqual([{ name: "kill at 10 s", requests: 200, p99Ms: 40, maxMs: 40 }]);
});

test("more than 50 ms is red, and says which fault was worst", () => {
  const requests = [
    ...asked(5, 10, 4),
    ...asked(10, 12, 55),
    ...asked(15, 17, 60),
    ...asked(20, 25, 4),
  ];
  const { row } = verdict(requests, [killed(10), killed(15)]);
  expect(row.held).toBe(false);
  expect(row.violations[0]).toContain("kill at 15 s: p99 60.0 ms");
});

test("one request in a hundred may be slower", () => {
  const slow = asked(10, 10.02, 500);
  const requests = [...asked(5, 9, 4), ...slow, ...asked(10.02, 12, 4), ...asked(14, 16, 4)];
  expect(verdict(requests, [killed(10)]).row.held).toBe(true);
  const third = asked(11, 11.01, 500);
  expect(verdict([...requests, ...third], [killed(10)]).row.held).toBe(false);
});

test("a request that was open at the injection counts", () => {
  const lost = asked(9.9, 9.93, 800);
  const requests = [...asked(5, 9, 4), ...lost, ...asked(10, 11.5, 4), ...asked(14, 16, 4)];
  const { added, row } = verdict(requests, [killed(10)]);
  expect(added?.disturbed).toBe(153);
  expect(row.held).toBe(false);
});

test("neither the warm-up nor a process that starts makes the undisturbed time look slow", () => {
  const requests = [
    ...asked(0, 5, 400),
    ...asked(5, 10, 4),
    ...asked(10, 12, 70),
    ...asked(12, 13.5, 400),
    ...asked(13.5, 20, 4),
  ];
  const { added, row } = verdict(requests, [killed(10)]);
  expect(added?.undisturbedP99Ms).toBe(4);
  expect(row.held).toBe(false);
});

test("nor does another fault, or a target that never came back", () => {
  const pause = killed(16, { kind: "pause", name: "pause", returnedUs: undefined });
  const requests = [
    ...asked(5, 10, 4),
    ...asked(10, 12, 70),
    ...asked(13.5, 16, 4),
    ...asked(16, 25, 400),
  ];
  expect(verdict(requests, [killed(10), pause]).added?.undisturbedP99Ms).toBe(4);
});

test("what fails at once has cost all of its time", () => {
  const failed = asked(10, 10.03, 1).map((one) => ({
    ...one,
    ending: "refused" as const,
    status: 503,
    code: "WORKER_LOST",
    matched: "",
  }));
  const requests = [...asked(5, 9, 4), ...failed, ...asked(10.03, 12, 4), ...asked(14, 16, 4)];
  expect(verdict(requests, [killed(10)]).added?.disturbedP99Ms).toBe(2_000);
});

test("a drill without such a fault, or with too few requests, has shown nothing", () => {
  const requests = [...asked(5, 10, 4), ...asked(10, 12, 4)];
  expect(verdict(requests, []).row).toMatchObject({
    held: false,
    violations: ["too few requests to tell"],
  });
  expect(verdict(asked(5, 10.5, 4), [killed(10)]).row.held).toBe(false);
});

test("the file says the kind, the window and the bound", () => {
  const drill = drillWith({ fault: "pause", window: "500ms", p99: "0.4s" });
  expect(drill.objectives.addedLatency).toEqual({
    fault: "pause",
    windowUs: 500_000,
    p99UsMax: 400_000,
  });
  const read = readDrill(document({}, { objectives: { "added-latency": { fault: "killing" } } }));
  expect(read.ok).toBe(false);
});
