/** Stores the example models and asks each for a prediction, through the front door. */

import { setTimeout as sleep } from "node:timers/promises";
import { type ExampleModel, exampleModels } from "@millrace/examples";
import { checkValue, modelRef } from "@millrace/protocol";
import type { Store } from "@millrace/store";
import { CommandError, faultError } from "../failure.ts";
import { askIngress, type Ingress } from "../ingress.ts";
import { jsonBody } from "../inputs.ts";
import { renderAnswer, responseSchema } from "../outputs.ts";
import { pushModel } from "../push.ts";

/** From the registry to a warm session on a device takes a moment; so long it is waited for. */
const ANSWER_MS_MAX = 60_000;
const ATTEMPT_MS_MAX = 5_000;
const RETRY_MS = 100;
const PROGRESS_MS = 2_000;
const TEXT_SHOWN = 60;

export interface ExamplesOptions {
  readonly store: Store;
  readonly ingress: Ingress;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** The example whose request is wanted; the shortest request unless given. */
  readonly wanted?: string;
}

/** A request that a user may copy. */
export interface Sample {
  readonly model: string;
  readonly request: object;
}

/**
 * The wanted or the shortest of the requests that were answered. @throws CommandError when one is
 * not.
 */
export async function introduceExamples(options: ExamplesOptions): Promise<Sample | undefined> {
  const { say, signal, store } = options;
  const samples: Sample[] = [];
  for (const example of exampleModels()) {
    signal.throwIfAborted();
    const { name, file } = example;
    // An example that the user has replaced, unloaded or rolled back stays as the user left it.
    const { outcome, record } = await pushModel(
      store,
      { ...example.options, name, file },
      () => {},
    );
    const ref = modelRef(name, record.active);
    say(`${ref} ${outcome === "same" ? "is in the registry" : "was stored"}`);
    if (record.loaded) samples.push(await ask(example, options));
    else say(`${name} is unloaded: millrace model load ${name}`);
  }
  const [shortest] = samples.toSorted((a, b) => lengthOf(a) - lengthOf(b));
  return samples.find(({ model }) => model === options.wanted) ?? shortest;
}

const lengthOf = (sample: Sample): number => JSON.stringify(sample.request).length;

/** The first real input that comes with the model. */
async function ask(example: ExampleModel, options: ExamplesOptions): Promise<Sample> {
  const [first] = example.samples;
  if (first === undefined) throw new Error(`${example.name} has no sample`);
  const request = { inputs: first.inputs };
  const value = await answerOf(example.name, request, options);
  const answer = checkValue(responseSchema, value);
  if (!answer.ok) throw faultError(answer.error);
  const shown = first.text === undefined ? `row ${first.row}` : JSON.stringify(clip(first.text));
  options.say(`  asked with ${shown}, which is labelled ${first.label}, it answers:`);
  for (const line of renderAnswer(answer.value, example.options.labels).split("\n").slice(1)) {
    options.say(`  ${line}`);
  }
  return { model: example.name, request };
}

const clip = (text: string): string =>
  text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN)}...`;

/** Asks until it is answered. @throws the last refusal when the time is up. */
async function answerOf(
  name: string,
  request: object,
  { ingress, say, signal }: ExamplesOptions,
): Promise<unknown> {
  const { body, headers } = jsonBody(request, { timeout: ATTEMPT_MS_MAX * 1000 });
  const startedAtMs = performance.now();
  let saidAtMs = startedAtMs;
  for (;;) {
    try {
      const path = `/v2/models/${name}/infer`;
      const timeoutMs = 2 * ATTEMPT_MS_MAX;
      return await askIngress(ingress, { method: "POST", path, headers, body, timeoutMs });
    } catch (error) {
      const nowMs = performance.now();
      if (!(error instanceof CommandError) || nowMs - startedAtMs > ANSWER_MS_MAX) throw error;
      if (nowMs - saidAtMs > PROGRESS_MS) {
        saidAtMs = nowMs;
        say(`  waiting for ${name}: ${error.message}`);
      }
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}
