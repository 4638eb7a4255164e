/** Items of jobs wait for room in the window, and tenants take turns. */

import { ItemWindow, WINDOW_DEFAULTS } from "@millrace/jobs";
import { prepareSignature } from "@millrace/openinference";
import { ok } from "@millrace/std";
import { expect, test } from "vitest";
import type { Question } from "../src/inference.ts";
import { Asker } from "../src/jobs/asker.ts";
import { ModelStatistics } from "../src/statistics.ts";
import { echo } from "./stand.ts";

const ROOM = 4;

/** An asker whose questions wait until the test answers them. */
function openAsker(): { readonly asker: Asker; readonly asked: Question[] } {
  const asked: Question[] = [];
  const signature = prepareSignature(echo);
  const model = { spec: echo, ref: "echo@1", signature, statistics: new ModelStatistics() };
  const asker = new Asker({
    catalogue: { serve: () => ok(model) },
    inference: { ask: (question) => asked.push(question), abandon: () => undefined },
    window: new ItemWindow({ ...WINDOW_DEFAULTS, least: ROOM, most: ROOM }),
    nowUs: () => 0,
  });
  return { asker, asked };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a tenant with many items keeps another waiting for one of them, not for all", async () => {
  const { asker, asked } = openAsker();
  const json = JSON.stringify({
    inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] }],
  });
  const signal = new AbortController().signal;
  const ask = (tenant: string, item: number) =>
    asker.ask({ tenant, model: "echo", version: undefined, item, json }, signal);
  const answers = Array.from({ length: 40 }, (_, item) => ask("greedy", item));
  answers.push(ask("modest", 0));
  await turn();
  expect([asked.length, asker.waiting]).toEqual([ROOM, 37]);
  for (let at = 0; at < answers.length; at++) {
    asked[at]?.sink.served({ json: "{}", binary: [] }, 0);
    await turn();
  }
  const clients = asked.map(({ access }) => access.client);
  expect(clients.indexOf("job:modest")).toBe(ROOM + 1);
  // Load facts know tenants by the names of their keys.
  expect(new Set(asked.map(({ access }) => access.tenant))).toEqual(new Set(["greedy", "modest"]));
  expect((await Promise.all(answers)).every((answer) => answer.ok)).toBe(true);
  expect(asker.waiting).toBe(0);
});
