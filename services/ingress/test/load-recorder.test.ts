/** What is counted becomes one fact a minute, whatever the storage does meanwhile. */

import type { LoadFact } from "@millrace/protocol";
import { expect, test } from "vitest";
import { LoadRecorder } from "../src/load-recorder.ts";

const MINUTE_US = 60_000_000;

function rig() {
  const state = { wallUs: 100 * MINUTE_US + 5, works: true, written: [] as LoadFact[] };
  const recorder = new LoadRecorder({
    source: "ingress-1-ab",
    wallUs: () => state.wallUs,
    write: (fact) => {
      if (state.works) state.written.push(fact);
      return Promise.resolve(state.works);
    },
  });
  return { recorder, state };
}

test("what kinds of workers answered is told apart", async () => {
  const { recorder, state } = rig();
  await using _ = recorder;
  recorder.amounts("digits", "key-1", 0, "gpu-l4").served++;
  recorder.amounts("digits", "key-1", 0, "cpu-16").served += 2;
  recorder.amounts("digits", "key-1", 0).refused++;
  state.wallUs += MINUTE_US;
  await recorder.tick();
  expect(state.written.map(({ kind, refused, served }) => [kind, served, refused])).toEqual([
    ["gpu-l4", 1, 0],
    ["cpu-16", 2, 0],
    [undefined, 0, 1],
  ]);
});

test("a minute becomes a fact for each model, client and priority when it is over", async () => {
  const { recorder, state } = rig();
  await using _ = recorder;
  recorder.amounts("digits", "key-1", 0).arrivals++;
  recorder.amounts("digits", "key-1", 0).arrivals++;
  recorder.amounts("digits", "key-2", 0).served++;
  recorder.amounts("digits", "key-1", 2).computeUs += 700;
  state.wallUs += MINUTE_US - 10;
  await recorder.tick();
  expect(state.written).toEqual([]);
  state.wallUs += 10;
  await recorder.tick();
  const seen = state.written.map(
    ({ model, tenant, priority, atUs, arrivals, served, computeUs }) => ({
      model,
      tenant,
      priority,
      atUs,
      amounts: [arrivals, served, computeUs],
    }),
  );
  const atUs = 100 * MINUTE_US;
  expect(seen).toEqual([
    { model: "digits", tenant: "key-1", priority: "realtime", atUs, amounts: [2, 0, 0] },
    { model: "digits", tenant: "key-1", priority: "batch", atUs, amounts: [0, 0, 700] },
    { model: "digits", tenant: "key-2", priority: "realtime", atUs, amounts: [0, 1, 0] },
  ]);
});

test("what the storage does not take is written when it does, once and in order", async () => {
  const { recorder, state } = rig();
  state.works = false;
  for (let minute = 0; minute < 3; minute++) {
    recorder.amounts("digits", "key-1", 1).arrivals = minute + 1;
    state.wallUs += MINUTE_US;
    await recorder.tick();
  }
  expect(state.written).toEqual([]);
  state.works = true;
  recorder.amounts("digits", "key-1", 1).arrivals = 9;
  await recorder[Symbol.asyncDispose]();
  expect(state.written.map(({ arrivals }) => arrivals)).toEqual([1, 2, 3, 9]);
  expect(recorder.dropped).toBe(0);
});

test("a clock that is set back ends no minute twice", async () => {
  const { recorder, state } = rig();
  recorder.amounts("digits", "key-1", 1).arrivals = 1;
  state.wallUs += MINUTE_US;
  await recorder.tick();
  state.wallUs -= 5 * MINUTE_US;
  recorder.amounts("digits", "key-1", 1).arrivals = 2;
  await recorder.tick();
  expect(state.written).toHaveLength(1);
  await recorder[Symbol.asyncDispose]();
  expect(state.written.map(({ atUs }) => atUs / MINUTE_US)).toEqual([100, 101]);
});

test("the oldest facts go first when nothing is written for very long", async () => {
  const { recorder, state } = rig();
  state.works = false;
  for (let minute = 0; minute < 13; minute++) {
    for (let model = 0; model < 1_000; model++) recorder.amounts(`m${model}`, "k", 1).arrivals = 1;
    state.wallUs += MINUTE_US;
    await recorder.tick();
  }
  expect(recorder.dropped).toBe(1_000);
  state.works = true;
  await recorder[Symbol.asyncDispose]();
  expect(state.written).toHaveLength(12_000);
  expect(state.written[0]?.atUs).toBe(101 * MINUTE_US);
});
