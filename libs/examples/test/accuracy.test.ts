/** The accuracy that the model cards state, computed again from the data sets where they are. */

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exampleModels, tokenizeSms } from "../src/index.ts";
import { readDigits, readMessages } from "../src/training/datasets.ts";
import { splitMessages } from "../src/training/sms-spam.ts";
import { classesOf, type Rows, stacked, withModel } from "./sessions.ts";

const DATASETS = new URL("../../../../shared/datasets/", import.meta.url).pathname;
const BATCH = 64;

interface HeldBack {
  readonly inputs: readonly (readonly number[])[];
  readonly labels: readonly number[];
}

const HELD_BACK: Readonly<Record<string, () => HeldBack>> = {
  digits: () => {
    const { pixels, labels } = readDigits(DATASETS, "optdigits.tes");
    const inputs = [...labels].map((_, row) => [...pixels.subarray(64 * row, 64 * (row + 1))]);
    return { inputs, labels: [...labels] };
  },
  "sms-spam": () => {
    const messages = readMessages(DATASETS);
    const { heldBack } = splitMessages(messages);
    return {
      inputs: heldBack.map((row) => tokenizeSms(messages.texts[row] as string)),
      labels: heldBack.map((row) => messages.labels[row] as number),
    };
  },
};

describe.each(exampleModels())("$name", ({ name, file, samples }) => {
  test("is as accurate on its held-back rows as its card says", async (context) => {
    if (!existsSync(DATASETS)) context.skip(`no data sets at ${DATASETS}`);
    const card = readFileSync(new URL(`../models/${name}/card.md`, import.meta.url), "utf8");
    const [, correct, rows] = /\((\d+) of (\d+)\) held-back rows/.exec(card) ?? [];
    const heldBack = (HELD_BACK[name] as () => HeldBack)();
    const [first] = samples[0]?.inputs ?? [];
    if (first === undefined) throw new Error("the model has no sample");
    const found: number[] = [];
    await withModel(file, async (run) => {
      for (let at = 0; at < heldBack.inputs.length; at += BATCH) {
        const batch = heldBack.inputs.slice(at, at + BATCH);
        const { logits } = await run(stacked(batch.map((data) => ({ ...first, data }))));
        found.push(...classesOf(logits as Rows));
      }
    });
    const right = found.filter((label, row) => label === heldBack.labels[row]).length;
    expect({ right, rows: found.length }).toEqual({ right: Number(correct), rows: Number(rows) });
    expect(right / found.length).toBeGreaterThan(name === "digits" ? 0.96 : 0.97);
  });
});

test("no message that is trained on reads like a held-back one", (context) => {
  if (!existsSync(DATASETS)) context.skip(`no data sets at ${DATASETS}`);
  const messages = readMessages(DATASETS);
  const { heldBack, training } = splitMessages(messages);
  const lower = (row: number): string => (messages.texts[row] as string).toLowerCase();
  const kept = new Set(heldBack.map(lower));
  expect(training.filter((row) => kept.has(lower(row)))).toEqual([]);
  expect(heldBack.length).toBe(1114);
});
