/** The committed models: what they answer on real inputs, alone, together and padded. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { scanModel } from "@millrace/onnx";
import { checkValue, pushOptionsSchema } from "@millrace/protocol";
import { exampleModels, PADDING_ID, tokenizeSms, TOKENS_MAX } from "../src/index.ts";
import { classesOf, rowsOf, type Rows, stacked, withModel, zeros } from "./sessions.ts";

const SAME = 1e-5;

function expectClose(found: Rows | undefined, expected: Rows | undefined): void {
  expect(found?.data.length).toBe(expected?.data.length);
  found?.data.forEach((value, at) => {
    expect(Math.abs(value - (expected?.data[at] as number))).toBeLessThan(SAME);
  });
}

describe.each(exampleModels())("$name", ({ file, name, options, samples }) => {
  const inputs = samples.map((sample) => sample.inputs[0]).filter((input) => input !== undefined);

  test("has options that a push accepts and a file that the scan accepts", () => {
    expect(checkValue(pushOptionsSchema, options)).toMatchObject({ ok: true });
    expect(options.name).toBe(name);
    const scan = scanModel(readFileSync(file));
    if (!scan.ok) throw new Error(scan.error.message);
    expect(scan.value.inputs.map((input) => input.name)).toEqual([inputs[0]?.name]);
    expect(scan.value.outputs.map((output) => output.name)).toEqual(["logits", "probabilities"]);
    expect(scan.value.inputs[0]?.dims?.[0]).toBe("batch");
  });

  test("answers every sample with its label", async () => {
    expect(inputs).toHaveLength(samples.length);
    await withModel(file, async (run) => {
      for (const [at, input] of inputs.entries()) {
        const { logits, probabilities } = await run(input);
        const label = options.labels?.[classesOf(logits as Rows)[0] as number];
        expect(label).toBe(samples[at]?.label);
        const sum = rowsOf(probabilities as Rows)[0]?.reduce((total, share) => total + share, 0);
        expect(sum).toBeCloseTo(1, 5);
      }
    });
  });

  test("answers a batch as it answers its rows", async () => {
    await withModel(file, async (run) => {
      const together = rowsOf((await run(stacked(inputs))).logits as Rows);
      for (const [at, input] of inputs.entries()) {
        const alone = rowsOf((await run(input)).logits as Rows)[0] as number[];
        alone.forEach((value, place) => {
          expect(Math.abs(value - (together[at]?.[place] as number))).toBeLessThan(SAME);
        });
      }
    });
  });
});

describe("sms-spam", () => {
  const [model] = exampleModels().filter(({ name }) => name === "sms-spam");
  if (model === undefined) throw new Error("sms-spam is missing");

  test("is given the ids that the tokenizer makes of the message", () => {
    for (const { text, inputs } of model.samples) {
      expect(tokenizeSms(text ?? "")).toEqual(inputs[0]?.data);
    }
  });

  test("answers the same however far its input is padded", async () => {
    await withModel(model.file, async (run) => {
      for (const sample of model.samples) {
        const input = sample.inputs[0];
        if (input === undefined) throw new Error("a sample has no input");
        const short = await run(input);
        for (const length of [input.data.length + 1, 64, TOKENS_MAX]) {
          const data = [...input.data, ...zeros(length - input.data.length)];
          const long = await run({ ...input, shape: [1, length], data });
          expectClose(long.logits, short.logits);
        }
      }
    });
  });

  test("refuses an id that is not in the vocabulary", async () => {
    const input = { name: "ids", datatype: "INT64" as const, shape: [1, 1], data: [1_000_000] };
    await withModel(model.file, async (run) => {
      await expect(run(input)).rejects.toThrow(/out of data bounds|indices element/);
    });
  });

  test("a row of nothing but padding has an answer too", async () => {
    const data = zeros(8);
    await withModel(model.file, async (run) => {
      const { probabilities } = await run({ name: "ids", datatype: "INT64", shape: [1, 8], data });
      expect(probabilities?.data.every(Number.isFinite)).toBe(true);
    });
  });
});

describe("the tokenizer", () => {
  test("makes 1 to 96 ids of any text, none of them padding", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 150 }), (text) => {
        const ids = tokenizeSms(text);
        expect(ids.length).toBeGreaterThan(0);
        expect(ids.length).toBeLessThanOrEqual(TOKENS_MAX);
        expect(ids.every((id) => Number.isSafeInteger(id) && id > PADDING_ID)).toBe(true);
      }),
    );
  });

  test("reads letters of either case, and numbers of the same length, alike", () => {
    expect(tokenizeSms("Call 0123 NOW!")).toEqual(tokenizeSms("call 9876   now!"));
    expect(tokenizeSms("call 0123 now!")).not.toEqual(tokenizeSms("call 123 now!"));
  });
});
