/** Each checker says nothing of a sound history, and something of one that broke its invariant. */

import { describe, expect, test } from "vitest";
import {
  checkBounds,
  checkCheckedBytes,
  checkDeviceLimits,
  checkOneAnswer,
  checkOwnAnswer,
  checkRecovery,
  checkUrgentFirst,
  type Fact,
  type InvariantId,
  Observer,
} from "../src/index.ts";

const SLACK_US = 10;
const GRACE_US = 100;

/** What all checkers together say of a history: facts with their times. */
function judge(
  history: readonly (readonly [atUs: number, fact: Fact])[],
  untilUs = 10_000,
): string[] {
  const observer = new Observer([
    (report) => checkOneAnswer(report, SLACK_US),
    checkOwnAnswer,
    checkDeviceLimits,
    checkUrgentFirst,
    checkBounds,
    checkRecovery,
    (report) => checkCheckedBytes(report, GRACE_US),
  ]);
  for (const [atUs, fact] of history) observer.observe(fact, atUs);
  observer.finish(untilUs);
  return observer.violations.map(
    ({ invariant, atUs, message }) => `${invariant satisfies InvariantId} ${atUs} ${message}`,
  );
}

const arrived = (request: string, owed = false) => ({
  type: "requestAdmitted" as const,
  request,
  ingress: "ingress-1",
  deadlineUs: 1_000,
  owed,
});
const admitted = (request: string, owed = false): Fact => arrived(request, owed);
const answered = (request: string, content = request): Fact => ({
  type: "requestSettled",
  request,
  outcome: { ok: true, content },
});
const refused = (request: string): Fact => ({
  type: "requestSettled",
  request,
  outcome: { ok: false, code: "WORKER_LOST" },
});
const ended = (process: string): Fact => ({ type: "processEnded", process });

describe("I1", () => {
  test("holds where each request has one answer in time, or nobody to answer", () => {
    const history = [
      [10, admitted("a")],
      [10, admitted("b")],
      [20, answered("a")],
      [1_010, refused("b")],
      [20, admitted("c")],
      [30, { type: "requestAbandoned", request: "c" }],
      [40, admitted("d")],
      [50, ended("ingress-1")],
    ] as const;
    expect(judge(history)).toEqual([]);
  });

  test.each([
    [
      "a second answer",
      [
        [20, answered("a")],
        [30, refused("a")],
      ],
      "after a result",
    ],
    [
      "an answer after its client left",
      [
        [20, { type: "requestAbandoned", request: "a" }],
        [30, answered("a")],
      ],
      "after its client had gone",
    ],
    ["a late answer", [[1_011, answered("a")]], "11 us after its deadline"],
    ["no answer", [], "never answered"],
    [
      "an answer to nobody",
      [
        [20, answered("a")],
        [30, answered("x")],
      ],
      "never admitted",
    ],
  ] as const)("is broken by %s", (_, facts, message) => {
    const found = judge([[10, admitted("a")], ...facts]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^I1 /);
    expect(found[0]).toContain(message);
  });

  test("excuses an ingress that stood still, until it runs again", () => {
    const resumed = { type: "processResumed", process: "ingress-1" } as const;
    const late = (atUs: number) =>
      judge([
        [10, admitted("a")],
        [3_000, resumed],
        [atUs, answered("a")],
      ]);
    expect(late(3_010)).toEqual([]);
    expect(late(3_011)).toHaveLength(1);
  });
});

describe("I2", () => {
  test("is broken by another request's content, and not by a refusal", () => {
    expect(
      judge([
        [10, admitted("a")],
        [20, answered("a", "b")],
      ]),
    ).toEqual(["I2 20 request a was answered with the result of b"]);
    expect(
      judge([
        [10, admitted("a")],
        [20, refused("a")],
      ]),
    ).toEqual([]);
  });
});

const run = (batch: string, rows: number, tier: 0 | 1 | 2 = 0): Fact => ({
  type: "runStarted",
  device: "gpu",
  batch,
  tier,
  partial: false,
  requests: rows,
  rows,
  rowsMax: 8,
  usualUs: 10 * rows,
  sliceUs: 50,
  startByUs: 1_000,
});
const runEnded: Fact = { type: "runEnded", device: "gpu" };

describe("I3", () => {
  test("is broken by a row too many, a byte too many, and two runs at once", () => {
    const memory = (usedBytes: number): Fact => ({
      type: "memoryRead",
      device: "gpu",
      usedBytes,
      totalBytes: 100,
    });
    expect(
      judge([
        [1, run("a", 8)],
        [2, runEnded],
        [3, memory(100)],
      ]),
    ).toEqual([]);
    expect(judge([[1, run("a", 9)]])[0]).toContain("9 rows of batch a, at most 8 may");
    expect(judge([[1, memory(101)]])[0]).toContain("needed 101 bytes");
    expect(
      judge([
        [1, run("a", 1)],
        [2, run("b", 1)],
      ])[0],
    ).toContain("while batch a was running");
    expect(
      judge([
        [1, run("a", 1)],
        [2, ended("gpu")],
        [3, run("b", 1)],
      ]),
    ).toEqual([]);
  });
});

describe("I4", () => {
  const taken = (batch: string, tier: 0 | 1 | 2): Fact => ({
    type: "batchTaken",
    device: "gpu",
    batch,
    tier,
  });
  const left = (batch: string): Fact => ({ type: "batchLeft", device: "gpu", batch });

  test("holds where a batch work slice that runs is finished first", () => {
    const history = [
      [1, taken("slow", 2)],
      [2, run("slow", 1, 2)],
      [3, taken("urgent", 0)],
      [4, runEnded],
      [4, left("slow")],
      [5, run("urgent", 1, 0)],
    ] as const;
    expect(judge(history)).toEqual([]);
  });

  test("is not broken by what begins before it is known that the urgent run ended", () => {
    const begun = [
      [1, taken("urgent", 0)],
      [2, taken("slow", 2)],
      [3, run("urgent", 1, 0)],
      [4, runEnded],
    ] as const;
    expect(judge([...begun, [5, run("slow", 1, 2)]])).toEqual([]);
    // It failed, and is to run again in parts.
    const again = [...begun, [5, taken("urgent", 0)], [6, run("slow", 1, 2)]] as const;
    expect(judge(again)).toHaveLength(1);
  });

  test("is not broken by what begins in the instant in which the urgent one comes", () => {
    const slow = [1, taken("slow", 2)] as const;
    expect(judge([slow, [2, taken("urgent", 0)], [2, run("slow", 1, 2)]])).toEqual([]);
    expect(judge([slow, [2, taken("urgent", 0)], [3, run("slow", 1, 2)]])).toHaveLength(1);
  });

  test("is broken by a lower tier that begins first, until the higher one has left", () => {
    const first = [
      [1, taken("urgent", 0)],
      [2, taken("slow", 2)],
    ] as const;
    expect(judge([...first, [3, run("slow", 1, 2)]])).toEqual([
      "I4 3 gpu began batch slow of tier 2 while batch urgent of tier 0 waited",
    ]);
    expect(judge([...first, [3, left("urgent")], [4, run("slow", 1, 2)]])).toEqual([]);
    expect(judge([...first, [3, ended("gpu")], [4, run("slow", 1, 2)]])).toEqual([]);
  });

  test("is broken by a run of several requests that is far longer than a slice", () => {
    expect(judge([[1, run("a", 8)]])).toEqual([]);
    const long = { ...run("a", 8), usualUs: 101 } as Fact;
    expect(judge([[1, long]])[0]).toContain("takes 101 us, a slice is 50 us");
    expect(judge([[1, { ...long, requests: 1 } as Fact]])).toEqual([]);
  });

  test("is broken by a start that is too late, but not by the rest of a batch that began", () => {
    expect(
      judge([
        [1, taken("a", 0)],
        [1_001, run("a", 1)],
      ])[0],
    ).toContain("1 us after its latest");
    const split = [
      [1, taken("a", 0)],
      [900, run("a", 1)],
      [950, runEnded],
    ] as const;
    expect(judge([...split, [1_100, run("a", 1)]])).toEqual([]);
  });
});

describe("I6", () => {
  test("is broken by what is over its bound", () => {
    const level = (value: number): Fact => ({
      type: "levelRead",
      process: "scheduler-1",
      what: "tickets",
      value,
      max: 5,
    });
    expect(judge([[1, level(5)]])).toEqual([]);
    expect(judge([[1, level(6)]])).toEqual(["I6 1 scheduler-1 holds 6 tickets, at most 5 may"]);
  });
});

describe("I7", () => {
  test("is broken by a failure of what was owed, and by what is left at the end", () => {
    expect(
      judge([
        [1, admitted("a", true)],
        [2, refused("a")],
      ])[0],
    ).toContain("failed with");
    expect(
      judge([
        [1, admitted("a", true)],
        [2, ended("ingress-1")],
      ]),
    ).toEqual([]);
    const rest: Fact = { type: "restRead", process: "gpu", what: "batches", value: 1 };
    expect(judge([[1, rest]])).toEqual(["I7 1 gpu still holds 1 batches when all is over"]);
  });
});

test("an observer keeps a bounded number of violations and counts the others", () => {
  const observer = new Observer([checkOwnAnswer]);
  for (let at = 0; at < 150; at++) observer.observe(answered("a", "b"), at);
  expect(observer.violations).toHaveLength(100);
  expect(observer.unreported).toBe(50);
});

describe("I8", () => {
  const registered = (digest: string): Fact => ({ type: "bytesRegistered", model: "a@1", digest });
  const asked: Fact = { ...arrived("r"), model: "a@1" };
  const served = (servedBy: string): Fact => ({
    type: "requestSettled",
    request: "r",
    outcome: { ok: true, content: "r", servedBy },
  });

  test("holds for bytes that the registry had when the request came, or has since", () => {
    for (const digest of ["old", "new"]) {
      const history = [
        [0, registered("old")],
        [400, asked],
        [450, registered("new")],
        [900, served(digest)],
      ] as const;
      expect(judge(history)).toEqual([]);
    }
  });

  test("is broken by bytes that nobody registered, and by those of long before", () => {
    for (const digest of ["bad", "old"]) {
      const history = [
        [0, registered("old")],
        [200, registered("new")],
        [400, asked],
        [500, served(digest)],
      ] as const;
      expect(judge(history)).toEqual([`I8 500 request r for a@1 was served from bytes ${digest}`]);
    }
  });
});

test("a verdict on another's input breaks I2, and is right on its own", () => {
  const good: Fact = { ...arrived("r"), foreign: ["INPUT_REJECTED"] };
  const rejected: Fact = {
    type: "requestSettled",
    request: "r",
    outcome: { ok: false, code: "INPUT_REJECTED" },
  };
  expect(
    judge([
      [1, good],
      [2, rejected],
    ]),
  ).toEqual(["I2 2 request r was told INPUT_REJECTED, for the input of another"]);
  expect(
    judge([
      [1, admitted("r")],
      [2, rejected],
    ]),
  ).toEqual([]);
});

test("an ingress that ends as it was asked to and leaves a request breaks I1", () => {
  const left: Fact = { type: "processEnded", process: "ingress-1", asked: true };
  expect(
    judge([
      [1, admitted("r")],
      [2, left],
    ]),
  ).toEqual(["I1 2 ingress-1 ended as it was asked to, and left request r"]);
});
