/**
 * Predictions over HTTP: the example models on real inputs in every form, and many requests at once
 * that share batches and still get each its own answer (I2).
 */

import { readFileSync } from "node:fs";
import { type ExampleModel, exampleModels, tokenizeSms } from "@millrace/examples";
import { PRIORITIES } from "@millrace/protocol";
import { present } from "@millrace/std";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, ids2, lookup, rows4, rowsOf } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { type Answer, ask, type Values } from "../support/inference.ts";

const TABLE_SIZE = 1000;
/** A tensor of 600 KB: larger than what travels in a ticket, and than a frame of answers. */
const WIDE = 150_000;
const FORMS = ["json", "binary"] as const;
/**
 * The second where no other request shared its batch and ran, so that the device may be at fault.
 */
const REJECTIONS: ReadonlySet<string> = new Set(["INPUT_REJECTED", "EXECUTION_FAILED"]);

const examples = exampleModels();
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({
    env: EMULATED,
    models: [
      ...examples.map(({ file, options }) => ({ file: readFileSync(file), options })),
      affine("double", { factor: 2, offset: 1 }),
      affine("wide", { factor: 3, offset: 0, width: WIDE }),
      lookup("table", { size: TABLE_SIZE, factor: 10 }),
    ],
  });
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const example = (name: string): ExampleModel =>
  present(
    examples.find((model) => model.name === name),
    name,
  );

const json = async (path: string): Promise<unknown> => (await cluster.fetch(path)).json();

/** The likeliest class of each row of the answer's probabilities. */
function classes(answer: Answer): readonly number[] {
  const { shape, data } = present(
    answer.outputs.find(({ name }) => name === "probabilities"),
    `probabilities in ${JSON.stringify(answer)}`,
  );
  const width = present(shape[1], "a second dimension");
  return Array.from({ length: data.length / width }, (_, row) => {
    const scores = data.slice(row * width, (row + 1) * width);
    return scores.indexOf(Math.max(...scores));
  });
}

/** How many rows the model has answered, and in how many runs. */
async function runs(model: string): Promise<{ readonly rows: number; readonly runs: number }> {
  const { model_stats } = (await json(`/v2/models/${model}/stats`)) as {
    readonly model_stats: readonly [
      { readonly inference_count: number; readonly execution_count: number },
    ];
  };
  const [{ inference_count: rows, execution_count: executions }] = model_stats;
  return { rows, runs: executions };
}

describe("the server", () => {
  test("is live and ready, and says what it is", async () => {
    expect(await json("/v2/health/live")).toEqual({ live: true });
    expect(await json("/v2/health/ready")).toEqual({ ready: true });
    expect(await json("/v2")).toMatchObject({ name: "millrace" });
  });

  test("describes its models", async () => {
    expect(await json("/v2/models/digits")).toMatchObject({
      name: "digits",
      versions: ["1"],
      platform: "onnxruntime_onnx",
      inputs: [{ name: "image", datatype: "FP32", shape: [-1, 1, 8, 8] }],
      labels: example("digits").options.labels,
    });
    expect(await json("/v2/models/sms-spam/config")).toMatchObject({
      name: "sms-spam",
      max_batch_size: 64,
    });
    const index = await cluster.fetch("/v2/repository/index", { method: "POST" });
    const ready = ["digits", "double", "sms-spam", "table", "wide"];
    expect(await index.json()).toEqual(
      ready.map((name) => ({ name, version: "1", state: "READY", reason: "" })),
    );
  });
});

describe.each(["digits", "sms-spam"])("%s", (name) => {
  const { samples, options } = example(name);
  const labels = present(options.labels, "labels");

  test.each(FORMS.flatMap((send) => FORMS.map((receive) => [send, receive] as const)))(
    "classifies inputs that it was not trained on, sent as %s and answered as %s",
    async (send, receive) => {
      for (const { inputs, label } of samples) {
        const answer = await ask(cluster, name, inputs, { send, receive, id: label, version: 1 });
        expect(answer).toMatchObject({ status: 200, id: label, model: name, version: 1 });
        expect(classes(answer).map((at) => labels[at])).toEqual([label]);
      }
    },
  );

  test("answers in every form with the same values", async () => {
    const { inputs } = present(samples[0], "a sample");
    const answers = await Promise.all(
      FORMS.flatMap((send) =>
        FORMS.map((receive) => ask(cluster, name, inputs, { send, receive })),
      ),
    );
    for (const { outputs } of answers) expect(outputs).toEqual(answers[0]?.outputs);
  });
});

test("several rows in one request are answered in their order", async () => {
  const { samples } = example("digits");
  const images = samples.map(({ inputs }) => present(inputs[0], "an image"));
  const all = { ...images[0], shape: [images.length, 1, 8, 8] } as Values;
  const data = images.flatMap((image) => image.data);
  const answer = await ask(cluster, "digits", [{ ...all, data }]);
  expect(classes(answer).map(String)).toEqual(samples.map(({ label }) => label));
});

test.each(PRIORITIES)("a request of the tier %s is answered", async (priority) => {
  const answer = await ask(cluster, "double", [rows4([1, 2, 3, 4])], { parameters: { priority } });
  expect(answer.outputs[0]?.data).toEqual([3, 5, 7, 9]);
});

test("tensors that are larger than a frame come whole, both ways", async () => {
  const numbers = Array.from({ length: 12 }, (_, at) => at);
  const answers = await Promise.all(
    numbers.map((number) => {
      const data = Array.from({ length: WIDE }, (_, at) => (at % 1000) + number);
      return ask(cluster, "wide", [rowsOf(data, WIDE)], { send: "binary" });
    }),
  );
  for (const number of numbers) {
    const data = answers[number]?.outputs[0]?.data ?? [];
    expect(data.length).toBe(WIDE);
    expect(data.findIndex((value, at) => value !== 3 * ((at % 1000) + number))).toBe(-1);
  }
});

describe("many requests at once", () => {
  /** In a table of 1000, the ids from 1000 on fail the run that they are part of. */
  const ids = fc.tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.nat(TABLE_SIZE - 1) },
      { weight: 1, arbitrary: fc.integer({ min: TABLE_SIZE, max: 2 * TABLE_SIZE }) },
    ),
    fc.nat(TABLE_SIZE - 1),
  );
  const form = fc.constantFrom(...FORMS);

  test(
    "get each its own output, and a poisonous one fails alone",
    { timeout: 60_000 },
    async () => {
      const questions = fc.array(fc.record({ ids, send: form, receive: form }), {
        minLength: 30,
        maxLength: 60,
      });
      const property = fc.asyncProperty(questions, async (asked) => {
        const answers = await Promise.all(
          asked.map((one) => ask(cluster, "table", [ids2(one.ids)], one)),
        );
        const found = answers.map(({ outputs, code = "" }) => {
          return outputs[0]?.data ?? (REJECTIONS.has(code) ? "rejected" : code);
        });
        const expected = asked.map((one) =>
          one.ids[0] < TABLE_SIZE ? one.ids.map((id) => 10 * id) : "rejected",
        );
        expect(found).toEqual(expected);
      });
      await fc.assert(property, { numRuns: 15, endOnFailure: true });
      const answered = await runs("table");
      expect(answered.runs).toBeLessThan(answered.rows);
    },
  );

  test("of texts of any length share batches, and equal what each gets alone", async () => {
    const texts = [
      ...example("sms-spam").samples.flatMap(({ text }) => text ?? []),
      "Ok",
      "See you at nine, then. I will bring the book that you lent me.",
      "URGENT! You have won a 1 week FREE membership in our prize draw. Call 09061701461 now",
      Array.from({ length: 90 }, (_, at) => `word${at % 7}`).join(" "),
    ];
    const inputs = texts.map((text): Values => {
      const tokens = tokenizeSms(text);
      return { name: "ids", datatype: "INT64", shape: [1, tokens.length], data: tokens };
    });
    const alone: Answer[] = [];
    for (const input of inputs) alone.push(await ask(cluster, "sms-spam", [input]));
    const before = await runs("sms-spam");
    const asked = Array.from({ length: 8 }, () => [...inputs.keys()]).flat();
    const together = await Promise.all(
      asked.map((at) => ask(cluster, "sms-spam", [present(inputs[at], "an input")])),
    );
    for (const [place, at] of asked.entries()) {
      const found = present(together[place], "an answer").outputs.flatMap(({ data }) => data);
      const expected = present(alone[at], "an answer").outputs.flatMap(({ data }) => data);
      expect(found.length).toBe(expected.length);
      for (const [which, value] of expected.entries()) expect(found[which]).toBeCloseTo(value, 4);
    }
    const after = await runs("sms-spam");
    expect(after.rows - before.rows).toBe(asked.length);
    // Lengths that are far apart do not share a batch, the others do.
    expect(after.runs - before.runs).toBeLessThan(asked.length);
  });
});
