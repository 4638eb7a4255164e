/** How long a model takes to its first answer that no worker held, as the ingress tells it. */

import { expect, test } from "vitest";
import { Drive } from "./drive.ts";

const MODEL = "digits@1";

function ready(held: readonly string[]): Drive {
  const drive = new Drive();
  drive.schedulerBeat("scheduler-1");
  drive.workerBeat("worker-1", held);
  return drive;
}

test("the first answer of a model that nobody held tells the time since it was asked for", () => {
  const drive = ready([]);
  const first = drive.request({ timeoutUs: 30_000_000 });
  drive.pass(2_000_000);
  const second = drive.request({ timeoutUs: 30_000_000, tier: 0 });
  drive.pass(1_000_000);
  drive.answer(second, 1);
  drive.answer(first, 1);
  expect(drive.fromZeroUs).toEqual([[MODEL, 3_000_000]]);
});

test("a model that a worker holds tells nothing", () => {
  const drive = ready([MODEL]);
  drive.answer(drive.request(), 1);
  expect(drive.fromZeroUs).toEqual([]);
});

test("a request that was not answered does not count: the next one begins anew", () => {
  const drive = ready([]);
  const failed = drive.request({ timeoutUs: 500_000 });
  drive.pass(600_000);
  expect(drive.outcomes(failed)).toEqual(["DEADLINE_EXCEEDED"]);
  drive.pass(3_000_000);
  drive.schedulerBeat("scheduler-1");
  const seq = drive.request({ timeoutUs: 30_000_000 });
  drive.pass(1_000_000);
  drive.answer(seq, 1);
  expect(drive.fromZeroUs).toEqual([[MODEL, 1_000_000]]);
});
