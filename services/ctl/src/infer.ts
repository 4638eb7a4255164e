/** `millrace infer`: one request over HTTP, from JSON, raw tensors, an image or a text. */

import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { type Command, Option } from "commander";
import { tokenizeSms } from "@millrace/examples";
import { checkValue, PRIORITIES, type Priority } from "@millrace/protocol";
import { CommandError, faultError, usageError } from "./failure.ts";
import { askIngress, findIngress, type Ingress } from "./ingress.ts";
import {
  binaryBody,
  imageTensor,
  type InferBody,
  type InferParameters,
  jsonBody,
  type Metadata,
  metadataSchema,
  rawTensor,
  requestFromJson,
  splitPairs,
  tokenRequest,
} from "./inputs.ts";
import { splitModel } from "./names.ts";
import { renderAnswer, responseSchema } from "./outputs.ts";

interface InferOptions {
  readonly json?: string;
  readonly input?: readonly string[];
  readonly dtype?: readonly string[];
  readonly shape?: readonly string[];
  readonly image?: string;
  readonly text?: string;
  readonly priority?: Priority;
  readonly timeout: string;
  readonly raw?: true;
}

const METADATA_MS_MAX = 5_000;
/** For the way there and back, on top of the request's own deadline. */
const TRAVEL_MS = 2_000;

const EXAMPLES = `
Examples:
  $ millrace infer digits --image three.png
  $ millrace infer sms-spam --text "You have won a prize, call now"
  $ echo '{"x": [0.1, 0.2]}' | millrace infer my-model --json -
  $ millrace infer my-model@2 --input x=row.bin --shape x=1,64`;

const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerInfer(program: Command): void {
  program
    .command("infer")
    .summary("ask a model for a prediction")
    .description(
      "Sends a request to the ingress at MILLRACE_URL (or of `millrace up`), prints the answer.",
    )
    .argument("<model>", "the model, or one of its versions: NAME or NAME@VERSION")
    .option(
      "--json <file>",
      "a request of the Open Inference Protocol, or plain arrays by input; - for standard input",
    )
    .option("--input <name=file>", "raw little-endian bytes of one input; repeatable", collect)
    .option("--dtype <name=type>", "datatype of a raw input, if not the model's", collect)
    .option("--shape <name=1,64>", "shape of a raw input, if its size does not say", collect)
    .option("--image <file.png>", "a PNG, for models that say how they take images")
    .option("--text <text>", "a text, for models that say how they take texts")
    .addOption(new Option("--priority <tier>", "which requests go first").choices(PRIORITIES))
    .option("--timeout <ms>", "deadline of the request in milliseconds", "10000")
    .option("--raw", "print the answer's JSON as it is")
    .addHelpText("after", EXAMPLES)
    .action(runInfer);
}

async function runInfer(model: string, options: InferOptions): Promise<void> {
  const timeoutMs = Number(options.timeout);
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) {
    throw usageError(`--timeout ${options.timeout}`, "expected whole milliseconds");
  }
  const ingress = findIngress(process.env);
  const path = modelPath(model);
  const metadata = await readMetadata(ingress, path);
  const parameters = {
    timeout: timeoutMs * 1000,
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  };
  const { body, headers } = await buildBody(metadata, options, parameters);
  const answer = await askIngress(ingress, {
    method: "POST",
    path: `${path}/infer`,
    headers,
    body,
    timeoutMs: timeoutMs + TRAVEL_MS,
  });
  if (options.raw) {
    console.log(JSON.stringify(answer));
    return;
  }
  const checked = checkValue(responseSchema, answer);
  if (!checked.ok) throw faultError(checked.error);
  console.log(renderAnswer(checked.value, metadata.labels));
}

/** `digits@3` as a path of the protocol. */
export function modelPath(model: string): string {
  const { name, version } = splitModel(model);
  return version === undefined ? `/v2/models/${name}` : `/v2/models/${name}/versions/${version}`;
}

async function readMetadata(ingress: Ingress, path: string): Promise<Metadata> {
  const timeoutMs = METADATA_MS_MAX;
  const answer = await askIngress(ingress, { method: "GET", path, timeoutMs });
  const metadata = checkValue(metadataSchema, answer);
  if (metadata.ok) return metadata.value;
  throw new CommandError(
    `${ingress.url}${path} is no model's description: ${metadata.error.message}`,
    "see that MILLRACE_URL is the address of an ingress",
  );
}

async function buildBody(
  metadata: Metadata,
  options: InferOptions,
  parameters: InferParameters,
): Promise<InferBody> {
  const { json, input = [], image, text } = options;
  const given = [json, image, text, input[0]].filter((source) => source !== undefined);
  if (given.length !== 1) {
    throw usageError(
      given.length === 0 ? "no input was given" : "several kinds of input were given",
      "give one of --json, --input, --image and --text",
    );
  }
  if (json !== undefined) {
    const content = json === "-" ? await readAll(process.stdin) : await readFile(json, "utf8");
    return jsonBody(requestFromJson(content, metadata), parameters);
  }
  if (image !== undefined) {
    return binaryBody([imageTensor(await readFile(image), metadata)], parameters);
  }
  if (text !== undefined) {
    if (metadata.text === undefined) {
      const problem = `${metadata.name} does not say how a text becomes its input`;
      throw new CommandError(problem, "give its token ids with --json");
    }
    return jsonBody(tokenRequest(tokenizeSms(text), metadata), parameters);
  }
  const raw = {
    datatypes: splitPairs("--dtype", options.dtype ?? []),
    shapes: splitPairs("--shape", options.shape ?? []),
  };
  const tensors = [];
  for (const [name, file] of splitPairs("--input", input)) {
    tensors.push(rawTensor(name, await readFile(file), metadata, raw));
  }
  return binaryBody(tensors, parameters);
}
