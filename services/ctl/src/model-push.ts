/** The command line of `millrace model push`. */

import { type Command, Option } from "commander";
import { isName, NAME_RULE } from "@millrace/std";
import { openCluster } from "./connect.ts";
import { type Declaration, parseImage, parseLabels, parsePadding } from "./declaration.ts";
import { usageError } from "./failure.ts";
import { pushModel, readDeclaration } from "./push.ts";
import { parseSeconds, waitUntilReady } from "./ready.ts";

interface PushOptions {
  readonly from?: string;
  readonly name?: string;
  readonly source?: string;
  readonly upstreamName?: string;
  readonly licence?: string;
  readonly notes?: string;
  readonly maxBatch?: string;
  readonly pad?: string;
  readonly labels?: string;
  readonly image?: string;
  readonly text?: "sms";
  readonly timeout: string;
  readonly wait: boolean;
}

const HELP = `
Where the model comes from is required: --source, --upstream-name and --licence, or the
"provenance" of a model.json. The same file with the same description is not stored twice.

Examples:
  $ millrace model push resnet.onnx --name resnet --source https://example.org/resnet \\
      --upstream-name resnet50-v2 --licence Apache-2.0 --image 224x224x3
  $ millrace model push --from libs/examples/models/digits/model.json
  $ millrace model push tagger.onnx --name tagger ... --pad 1:0:128:ids:scores`;

export function registerPush(model: Command): void {
  model
    .command("push")
    .summary("store a file as a new version, and serve it")
    .description(
      "Reads an ONNX file's signature, stores the file, and makes it the version that answers.",
    )
    .argument("[file]", "the ONNX file; default: what --from says, or model.onnx beside it")
    .option("--from <model.json>", "a file that says what these options say")
    .option("--name <name>", "the model's name here")
    .option("--source <text>", "where the file or its training data came from")
    .option("--upstream-name <name>", "what the model is called there")
    .option("--licence <spdx>", "its licence")
    .option("--notes <text>", "anything else about where it came from")
    .option("--max-batch <rows>", "most rows in one run; 0 for one request at a time")
    .option("--pad <axis:value:max[:inputs][:outputs]>", "how variable lengths share a batch")
    .option("--labels <a,b,...>", "names of the classes, in the order of the output")
    .option("--image <WxHxC[:layout[:scale[:offset]]]>", "how an image becomes the input")
    .addOption(new Option("--text <tokenizer>", "how a text becomes the input").choices(["sms"]))
    .option("--timeout <seconds>", "longest wait for a worker to have it ready", "120")
    .option("--no-wait", "do not wait for a worker to have it ready")
    .addHelpText("after", HELP)
    .action(runPush);
}

async function runPush(file: string | undefined, options: PushOptions): Promise<void> {
  const timeoutMs = parseSeconds(options.timeout);
  const declared = options.from === undefined ? undefined : await readDeclaration(options.from);
  const declaration = declare(file, declared, options);
  const report = (line: string): void => console.error(line);
  await using cluster = await openCluster();
  const { ref, outcome, record } = await pushModel(cluster.store, declaration, report);
  if (outcome === "same") {
    const active = record.active === Number(ref.split("@")[1]);
    const hint = active ? "" : `; it answers after \`millrace model rollback ${ref}\``;
    console.log(`${ref} is this model already: nothing was stored${hint}`);
    return;
  }
  console.log(`${ref} is registered and active`);
  if (!record.loaded) {
    console.log(`${record.name} is unloaded: \`millrace model load ${record.name}\` serves it`);
  } else if (options.wait) {
    await waitUntilReady(cluster.bus, ref, { timeoutMs, report });
  }
}

/** The options win over the file. */
export function declare(
  file: string | undefined,
  declared: Declaration | undefined,
  options: Omit<PushOptions, "timeout" | "wait" | "from">,
): Declaration {
  const path = file ?? declared?.file;
  if (path === undefined) throw usageError("no ONNX file was given", "name one, or use --from");
  const name = options.name ?? declared?.name;
  if (name === undefined) throw usageError("no name was given", "give one: --name NAME");
  if (!isName(name)) throw usageError(`--name ${name} is no name`, `a name is ${NAME_RULE}`);
  const { source, upstreamName, licence, notes, maxBatch } = options;
  const given = { source, upstreamName, licence, notes };
  return {
    ...declared,
    name,
    file: path,
    provenance: { ...declared?.provenance, ...defined(given) },
    ...(maxBatch === undefined ? {} : { maxBatch: parseRows(maxBatch) }),
    ...(options.pad === undefined ? {} : { padding: parsePadding(options.pad) }),
    ...(options.labels === undefined ? {} : { labels: parseLabels(options.labels) }),
    ...(options.image === undefined ? {} : { image: parseImage(options.image) }),
    ...(options.text === undefined ? {} : { text: options.text }),
  };
}

const defined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<T>;

function parseRows(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw usageError(`--max-batch ${text}`, "expected a whole number of rows");
}
