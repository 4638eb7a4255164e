/** A drill that asks for more than there is: what counts as goodput, as admitted, as refused. */

import { expect, test } from "vitest";
import { present } from "@millrace/std";
import { type Evidence, judge, type LedgerRequest, readDrill } from "../src/index.ts";
import { action, document, request } from "./fixtures.ts";

const SECOND_US = 1_000_000;

const read = readDrill(
  document(
    { method: [action("chaos fault thundering-herd --for 10s --option factor=6")] },
    { objectives: { "recovered-within": "5s", overload: { capacity: 10, tickets: 1.1 } } },
  ),
);
const DRILL = present(read.ok ? read.value : undefined, "a sound drill");

const HERD = {
  name: "three times the capacity",
  kind: "thundering-herd",
  targets: [],
  idle: [],
  injectedUs: 10 * SECOND_US,
  endedUs: 20 * SECOND_US,
  end: "expired",
  detectedUs: undefined,
  returnedUs: 20 * SECOND_US,
};

/** Ten a second get their answer after 100 ms, twenty are refused after 2 ms. */
const served = (count: number): readonly LedgerRequest[] =>
  Array.from({ length: count }, (_, at) => {
    const intendedUs = 10 * SECOND_US + at * 100_000;
    return request({ intendedUs, endedUs: intendedUs + 100_000 });
  });
const refusal = (intendedUs: number, more: Partial<LedgerRequest> = {}): LedgerRequest =>
  request({
    intendedUs,
    endedUs: intendedUs + 2_000,
    ending: "refused",
    status: 503,
    code: "DEADLINE_UNREACHABLE",
    matched: "",
    ...more,
  });
const refusals = Array.from({ length: 200 }, (_, at) => refusal(10 * SECOND_US + at * 50_000));

const verdict = (requests: readonly LedgerRequest[], more: Partial<Evidence> = {}) => {
  const judgement = judge(DRILL, {
    requests,
    jobs: [],
    faults: [HERD],
    rest: [],
    attempts: { requests: 300, repeated: 6, denied: 0 },
    refused: [],
    deviations: [],
    calmUntilUs: 5 * SECOND_US,
    endedUs: 30 * SECOND_US,
    ...more,
  });
  return { judgement, broken: judgement.rows.filter(({ held }) => !held).map(({ id }) => id) };
};

test("refusals are no failures while more is asked than there is", () => {
  const { judgement, broken } = verdict([...served(99), ...refusals]);
  expect(broken).toEqual([]);
  expect(judgement).toMatchObject({ requests: 99, failed: 0, shed: 200, ticketsPerRequest: 1.02 });
  expect(judgement.overload).toMatchObject({
    goodputPerSecond: 9.9,
    admitted: 99,
    missed: 0,
    p99Ms: 100,
    refused: 200,
    refusedP99Ms: 2,
  });
});

test("and are failures again when it should have recovered", () => {
  const late = refusal(25 * SECOND_US + 1);
  const { judgement, broken } = verdict([...served(99), ...refusals, late]);
  expect(judgement.failed).toBe(1);
  expect(broken).toEqual(["I7", "availability", "recovery"]);
});

test("a refusal that says that something broke is a failure at all times", () => {
  const lost = refusal(12 * SECOND_US, { code: "WORKER_LOST" });
  expect(verdict([...served(99), ...refusals, lost]).judgement.failed).toBe(1);
});

test("too little goodput is red, and what is answered a moment too late is none", () => {
  expect(verdict([...served(90), ...refusals]).broken).toEqual(["goodput"]);
  const late = served(99).map((one, at) =>
    at < 10 ? { ...one, endedUs: one.intendedUs + one.budgetUs + 1 } : one,
  );
  expect(verdict([...late, ...refusals]).broken).toEqual(["goodput", "p99-admitted"]);
});

test("more tickets than the budget allows, and ingresses that do not say, are red", () => {
  const requests = [...served(99), ...refusals];
  const many = { attempts: { requests: 300, repeated: 60, denied: 0 } };
  expect(verdict(requests, many).broken).toEqual(["tickets"]);
  expect(verdict(requests, { attempts: { requests: 0, repeated: 0, denied: 0 } }).broken).toEqual([
    "tickets",
  ]);
});

test("a drill with the objective whose load never rose has proved nothing", () => {
  expect(verdict(served(99), { faults: [] }).broken).toEqual(["goodput"]);
});
