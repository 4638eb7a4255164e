/**
 * Questions with known answers. Each has its own random input, and its reference is what the same
 * model answers before the drill, so that during it a wrong or a mixed-up answer is a fact. A
 * question belongs to one tenant: whoever gets the answer to another's is seen.
 */

import * as v from "valibot";
import { checkValue } from "@millrace/protocol";
import { type Random, seededRandom } from "@millrace/std";
import { Client } from "./client.ts";

const tensorSchema = v.object({
  name: v.string(),
  datatype: v.string(),
  shape: v.array(v.number()),
});
const metadataSchema = v.object({ name: v.string(), inputs: v.array(tensorSchema) });
const answerSchema = v.object({
  id: v.optional(v.string()),
  outputs: v.array(v.object({ data: v.array(v.union([v.number(), v.string(), v.boolean()])) })),
});

type InputTensor = v.InferOutput<typeof tensorSchema> & { readonly data: readonly number[] };

export interface Question {
  readonly id: string;
  readonly tenant: number;
  /** The value of the request's `inputs`, as JSON. */
  readonly inputs: string;
}

/** Per model: enough that neighbours in a batch differ. */
const QUESTIONS = 64;
const REFERENCE_MS_MAX = 30_000;
const REFERENCES_AT_ONCE = 4;
/** Words that every model of a drill knows. */
const WORDS = 1_000;
const BEYOND_WORDS = 1_000_000_000;
/** A batch of another size adds up in another order: that is what two right answers differ by. */
const TOLERANCE = 1e-4;

export class Corpus {
  readonly #tenants: number;
  readonly #questions = new Map<string, readonly Question[]>();
  readonly #references = new Map<string, Map<string, readonly number[]>>();
  readonly #poisons = new Map<string, readonly string[]>();

  private constructor(tenants: number) {
    this.#tenants = tenants;
  }

  /** @throws Error naming the model where one is missing or its answers cannot be told apart. */
  static async gather(
    url: string,
    keys: readonly string[],
    models: readonly string[],
    seed: number,
  ): Promise<Corpus> {
    const corpus = new Corpus(keys.length);
    using client = new Client();
    for (const model of models) await corpus.#add(client, url, keys, model, seed);
    return corpus;
  }

  draw(model: string, tenant: number, random: Random): Question {
    const questions = this.#questions.get(model) ?? [];
    const own = random.below(questions.length / this.#tenants);
    const question = questions[own * this.#tenants + tenant];
    if (question === undefined) throw new Error(`no question for ${model}`);
    return question;
  }

  /** Inputs that the model cannot run, as JSON or as something like it. */
  drawPoison(model: string, random: Random): string {
    const poisons = this.#poisons.get(model) ?? [];
    return poisons[random.below(poisons.length)] ?? "[]";
  }

  /** The question whose reference these are; its own first. Empty for none. */
  match(model: string, question: string, answer: readonly number[]): string {
    const references = this.#references.get(model) ?? new Map<string, readonly number[]>();
    if (isClose(references.get(question), answer)) return question;
    for (const [id, reference] of references) if (isClose(reference, answer)) return id;
    return "";
  }

  async #add(
    client: Client,
    url: string,
    keys: readonly string[],
    model: string,
    seed: number,
  ): Promise<void> {
    const path = `/v2/models/${model}`;
    const key = keys[0] ?? "";
    const shown = await client.call({ url, key, method: "GET", path, timeoutMs: REFERENCE_MS_MAX });
    if (shown.kind !== "status") throw new Error(`no ingress at ${url}`);
    const metadata = checkValue(metadataSchema, parse(shown.body));
    if (!metadata.ok) throw new Error(`${model}: the ingress answered ${shown.body.slice(0, 200)}`);
    const random = seededRandom(seed ^ 0x51ed270b);
    const tensors = Array.from(
      { length: this.#tenants * Math.ceil(QUESTIONS / this.#tenants) },
      () => drawInputs(metadata.value.inputs, random),
    );
    const questions = tensors.map((inputs, at) => ({
      id: `${model}-${at}`,
      tenant: at % this.#tenants,
      inputs: JSON.stringify(inputs),
    }));
    const references = new Map<string, readonly number[]>();
    const waiting = [...questions];
    const lanes = Array.from({ length: REFERENCES_AT_ONCE }, async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const { id, inputs } = next;
        const body = requestBody(id, inputs, { timeoutUs: REFERENCE_MS_MAX * 1000 });
        const call = { url, key: keys[next.tenant] ?? "", body, timeoutMs: REFERENCE_MS_MAX };
        const answer = await client.call({ ...call, method: "POST", path: `${path}/infer` });
        if (answer.kind !== "status" || answer.status !== 200) {
          const why = answer.kind === "status" ? answer.body.slice(0, 200) : answer.kind;
          throw new Error(`${model} has no reference answer: ${why}`);
        }
        references.set(id, valuesOf(answer.body).values);
      }
    });
    await Promise.all(lanes);
    refuseTwins(model, references);
    this.#questions.set(model, questions);
    this.#references.set(model, references);
    this.#poisons.set(model, poisonsOf(tensors[0] ?? []));
  }
}

/** A request as its client writes it. */
export function requestBody(
  id: string,
  inputs: string,
  { timeoutUs, priority }: { readonly timeoutUs: number; readonly priority?: string },
): string {
  const tier = priority === undefined ? "" : `,"priority":"${priority}"`;
  const timeout = Math.max(1, Math.round(timeoutUs));
  return `{"id":"${id}","parameters":{"timeout":${timeout}${tier}},"inputs":${inputs}}`;
}

/** The id and all outputs of a response, one after the other; no values where it is none. */
export function valuesOf(body: string | object): {
  readonly id: string;
  readonly values: readonly number[];
} {
  const answer = checkValue(answerSchema, typeof body === "string" ? parse(body) : body);
  if (!answer.ok) return { id: "", values: [] };
  const values = answer.value.outputs.flatMap(({ data }) => data.map(Number));
  return { id: answer.value.id ?? "", values };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** One row: the batch axis and every axis of no fixed length is 1. */
function drawInputs(
  inputs: v.InferOutput<typeof metadataSchema>["inputs"],
  random: Random,
): readonly InputTensor[] {
  return inputs.map(({ name, datatype, shape }) => {
    const dims = shape.map((length) => (length > 0 ? length : 1));
    const count = dims.reduce((product, length) => product * length, 1);
    const draw = /^FP|^BF/.test(datatype)
      ? () => Math.fround(2 * random.next() - 1)
      : () => random.below(datatype === "UINT8" ? 256 : datatype === "BOOL" ? 2 : WORDS);
    return { name, datatype, shape: dims, data: Array.from({ length: count }, draw) };
  });
}

/** Each is wrong in one way. An index beyond the table is found by the device alone. */
function poisonsOf(inputs: readonly InputTensor[]): readonly string[] {
  const [first, ...others] = inputs;
  if (first === undefined) return ["[]"];
  const change = (changed: object): string => JSON.stringify([{ ...first, ...changed }, ...others]);
  const poisons = [
    "[]",
    change({ name: `${first.name}-of-nothing` }),
    change({ datatype: "FP7" }),
    change({ shape: [...first.shape, 3] }),
    change({ data: first.data.slice(1) }),
    change({ data: first.data.map((_, at) => (at === 0 ? null : 1)) }),
    change({}).slice(0, -2),
  ];
  if (first.datatype === "INT64") {
    poisons.push(change({ data: first.data.map(() => BEYOND_WORDS) }));
  }
  return poisons;
}

function isClose(reference: readonly number[] | undefined, answer: readonly number[]): boolean {
  if (reference === undefined || reference.length !== answer.length || answer.length === 0) {
    return false;
  }
  return reference.every(
    (value, at) => Math.abs(value - (answer[at] ?? NaN)) <= TOLERANCE * (1 + Math.abs(value)),
  );
}

/** Two questions with one answer would hide that they were mixed up. */
function refuseTwins(model: string, references: ReadonlyMap<string, readonly number[]>): void {
  const all = [...references.values()];
  const twins = all.some((one, at) => all.slice(at + 1).some((other) => isClose(one, other)));
  if (twins) throw new Error(`${model} answers different inputs alike: a drill cannot judge it`);
}
