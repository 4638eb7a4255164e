/** `millrace job`: durable jobs over HTTP, and their dead letters over NATS. */

import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { JobView } from "@millrace/protocol";
import { formatTable } from "@millrace/std";
import { usageError } from "./failure.ts";
import { findIngress, type Ingress } from "./ingress.ts";
import { cancelJob, listJobs, openResults, readJob, submitJob } from "./job-client.ts";
import { runDead } from "./job-dead.ts";
import { splitModel } from "./names.ts";

interface SubmitOptions {
  readonly input?: readonly string[];
  readonly key?: string;
  readonly webhook?: string;
  readonly wait?: true;
}

const LOOK_MS = 250;
const LIST_MAX = 100;

const EXAMPLES = `
Examples:
  $ millrace job submit digits rows.jsonl --wait
  $ millrace job submit my-model --input '{"inputs": [{"name": "x", ...}]}'
  $ millrace job results j0mws... > results.jsonl

Each line of a file is one request of the Open Inference Protocol: {"inputs": [...]}. A line that is
wrong fails alone. A job that was accepted is done, whatever happens to the cluster meanwhile.`;

const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerJob(program: Command): void {
  const job = program
    .command("job")
    .summary("hand in work that is done when there is room for it")
    .helpCommand(false)
    .description("Durable jobs: many requests to one model, at the lowest priority.")
    .addHelpText("after", EXAMPLES);
  job
    .command("submit")
    .summary("hand in a job")
    .description("Hands in JSON lines, and prints the job's id once it is accepted.")
    .argument("<model>", "the model, or one of its versions: NAME or NAME@VERSION")
    .argument("[file]", "JSON lines; - for standard input")
    .option("--input <json>", "one request instead of a file; repeatable", collect)
    .option("--key <text>", "the Idempotency-Key: the same key again is the same job")
    .option("--webhook <url>", "told when the job has ended, where the ingress allows its host")
    .option("--wait", "until it has ended")
    .action(submit);
  job
    .command("status")
    .summary("show how far a job is")
    .description("Shows a job's state and its progress.")
    .argument("<id>", "of the job")
    .option("--wait", "until it has ended")
    .action(async (id: string, { wait }: { readonly wait?: true }) => {
      const ingress = findIngress(process.env);
      show(wait === true ? await follow(ingress, id) : await readJob(ingress, id));
    });
  job
    .command("results")
    .summary("print a job's results")
    .description("Prints a line of JSON for each item, in their order.")
    .argument("<id>", "of the job")
    .option("--output <file>", "write them to a file")
    .option("--partial", "those that are there, of a job that has not ended")
    .action(printResults);
  job
    .command("cancel")
    .summary("end a job; what has run keeps its results")
    .description("Ends a job that has not ended by itself.")
    .argument("<id>", "of the job")
    .action(async (id: string) => show(await cancelJob(findIngress(process.env), id)));
  job
    .command("list")
    .summary("list your jobs")
    .description("Lists the jobs of your API key, the newest first.")
    .option("--limit <count>", `at most ${LIST_MAX}`, "20")
    .action(list);
  job
    .command("dead")
    .summary("list what was given up, or try it again")
    .description(
      "Lists the chunks that were given up after too many tries, of every tenant; needs the NATS " +
        "user `admin`.",
    )
    .argument("[id]", "of one job")
    .option(
      "--replay",
      "put them into the queue again; their results then take the old ones' place",
    )
    .action(runDead);
}

async function submit(
  model: string,
  file: string | undefined,
  options: SubmitOptions,
): Promise<void> {
  const { input, key, webhook, wait } = options;
  if ((file === undefined) === (input === undefined)) {
    throw usageError("nothing to submit", "give a FILE of JSON lines, or --input JSON");
  }
  for (const one of input ?? []) checkInput(one);
  const ingress = findIngress(process.env);
  const job = await submitJob(ingress, {
    ...splitModel(model),
    source: file === undefined ? { text: (input ?? []).join("\n") } : { file },
    key,
    webhook,
  });
  show(wait === true ? await follow(ingress, job.id) : job);
}

function checkInput(text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw usageError(`--input ${text}: ${(error as Error).message}`, "expected JSON");
  }
}

/** Until it has ended; a terminal sees it progress. */
async function follow(ingress: Ingress, id: string): Promise<JobView> {
  const terminal = process.stderr.isTTY;
  for (;;) {
    const job = await readJob(ingress, id);
    if (terminal) process.stderr.write(`\r\x1b[K${describe(job)}`);
    if (job.ended_at !== undefined) {
      if (terminal) process.stderr.write("\r\x1b[K");
      return job;
    }
    await sleep(LOOK_MS);
  }
}

function describe({ state, items: { total, done, failed } }: JobView): string {
  return `${state}: ${done} done, ${failed} failed, of ${total}`;
}

function show(job: JobView): void {
  console.log(`${job.id}  ${job.model}  ${describe(job)}`);
  if (job.state === "failed") process.exitCode = 1;
}

async function printResults(
  id: string,
  { output, partial }: { readonly output?: string; readonly partial?: true },
): Promise<void> {
  const results = await openResults(findIngress(process.env), id, partial === true);
  if (output === undefined) await pipeline(results, process.stdout, { end: false });
  else await pipeline(results, createWriteStream(output));
}

async function list({ limit }: { readonly limit: string }): Promise<void> {
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > LIST_MAX) {
    throw usageError(`--limit ${limit}`, `expected a whole number from 1 to ${LIST_MAX}`);
  }
  const { jobs, next } = await listJobs(findIngress(process.env), count);
  if (jobs.length === 0) {
    console.log("no jobs");
    return;
  }
  const rows = jobs.map((job) => [
    job.id,
    job.model,
    job.state,
    job.items.total,
    job.items.done,
    job.items.failed,
    job.created_at,
  ]);
  const head = ["ID", "MODEL", "STATE", "ITEMS", "DONE", "FAILED", "CREATED"];
  console.log(formatTable([head, ...rows]));
  if (next !== undefined) console.log(`more: --limit shows up to ${LIST_MAX}`);
}
