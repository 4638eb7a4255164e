/** `millrace load`: what was asked of models, out of files and into them, checked and repaired. */

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { openHourFacts, openMinuteFacts } from "@millrace/history";
import { type LoadFact, PRIORITIES, type Priority, subjects } from "@millrace/protocol";
import {
  endUs,
  factsOfTrace,
  formatFacts,
  formatTimestamp,
  mergeFacts,
  MINUTE_US,
  parseTimestampUs,
  type Trace,
} from "@millrace/load-facts";
import { formatTable } from "@millrace/std";
import { openCluster } from "./connect.ts";
import { CommandError, usageError, valueOf } from "./failure.ts";
import { describeRepairs, readExportedFacts, readTrace } from "./load-file.ts";
import { splitModel } from "./names.ts";

interface ImportOptions {
  readonly model?: string;
  readonly priority: string;
  readonly duplicates: string;
}

interface ExportOptions {
  readonly since?: string;
  readonly hours?: true;
  readonly sources?: true;
  readonly out?: string;
}

/** Entries on their way to the stream at a time. */
const APPENDS_MAX = 256;

export function registerLoad(program: Command): void {
  const load = program
    .command("load")
    .summary("check traces, and turn them into load facts")
    .helpCommand(false)
    .description("Works on what was asked of models, minute by minute.");
  load
    .command("check")
    .summary("read a trace, and say what is in it and what was repaired")
    .description("Reads `timestamp,count` or one row per request; refuses what no rule repairs.")
    .argument("<csv...>", "files to read")
    .option("--duplicates <rule>", "rows of one time that differ: refuse or sum", "refuse")
    .action(runCheck);
  const ofModel = (command: Command): Command =>
    command
      .argument("<csv>", "file to read")
      .option("--model <name>", "the model that a trace's load is of")
      .option("--priority <priority>", PRIORITIES.join(", "), "standard")
      .option("--duplicates <rule>", "rows of one time that differ: refuse or sum", "refuse");
  ofModel(load.command("convert"))
    .summary("write a trace as load facts of a model")
    .description("Writes load facts as CSV, a row per minute; coarser steps are spread evenly.")
    .option("--out <file>", "file to write; standard output without it")
    .action(runConvert);
  ofModel(load.command("import"))
    .summary("put a trace, or what was exported, into the cluster's history of load")
    .description(
      "Puts a trace, or minutes that `load export` wrote, into the history that forecasts rest on.",
    )
    .action(runImport);
  load
    .command("export")
    .summary("write a model's load facts as CSV")
    .description("Writes what the cluster remembers of a model's load as CSV.")
    .argument("<model>", "the model")
    .option("--since <time>", "from this time on; everything that is kept without it")
    .option("--hours", "hours in place of minutes, which are kept longer")
    .option("--sources", "a row per source and key, in place of their sums")
    .option("--out <file>", "file to write; standard output without it")
    .action(runExport);
}

function runCheck(paths: readonly string[], options: { readonly duplicates: string }): void {
  const traces = paths.map((path) => ({ path, trace: readTrace(path, options) }));
  for (const { path, trace } of traces) reportRepairs(path, trace);
  const head = ["trace", "kind", "from", "to", "step", "requests", "missing", "repairs"];
  console.log(formatTable([head, ...traces.map(({ path, trace }) => traceRow(path, trace))]));
}

function traceRow(path: string, { kind, series, repairs }: Trace): (string | number)[] {
  const requests = series.values.reduce((sum, value) => sum + (value >= 0 ? value : 0), 0);
  const missing = series.values.filter((value) => Number.isNaN(value)).length;
  return [
    path,
    kind,
    formatTimestamp(series.startUs),
    formatTimestamp(endUs(series)),
    `${series.stepUs / 1_000_000} s`,
    Math.round(requests),
    missing,
    repairs.length,
  ];
}

function runConvert(path: string, options: ImportOptions & { readonly out?: string }): void {
  writeFacts(readFacts(path, options), options.out);
}

function readFacts(path: string, options: ImportOptions): LoadFact[] {
  const exported = readExportedFacts(path);
  if (exported !== undefined) return exported;
  if (options.model === undefined) {
    throw usageError(`${path} is a trace, which names no model`, "say whose load it is: --model");
  }
  const { name: model } = splitModel(options.model);
  const priority = PRIORITIES.find((each): each is Priority => each === options.priority);
  if (priority === undefined) {
    throw usageError(`--priority ${options.priority}`, `it is one of ${PRIORITIES.join(", ")}`);
  }
  const trace = readTrace(path, options);
  reportRepairs(path, trace);
  return factsOfTrace(trace, { model, priority, source: "import" });
}

async function runImport(path: string, options: ImportOptions): Promise<void> {
  const facts = readFacts(path, options);
  if (facts.some(({ spanUs }) => spanUs !== MINUTE_US)) {
    throw new CommandError(`${path} has hours`, "export minutes: forecasts are made from those");
  }
  await using cluster = await openCluster();
  const { connection } = cluster.bus;
  const log = openMinuteFacts(connection);
  for (let from = 0; from < facts.length; from += APPENDS_MAX) {
    const some = facts.slice(from, from + APPENDS_MAX);
    for (const appended of await Promise.all(some.map((fact) => log.append(fact)))) {
      valueOf(appended);
    }
  }
  const models = [...new Set(facts.map(({ model }) => model))].join(", ");
  console.log(`${facts.length} minutes of ${models} are in the history of load`);
}

async function runExport(name: string, options: ExportOptions): Promise<void> {
  const { name: model } = splitModel(name);
  const sinceUs = options.since === undefined ? 0 : parseTimestampUs(options.since);
  if (sinceUs === undefined) throw usageError(`--since ${options.since}`, "ISO 8601 or epoch");
  await using cluster = await openCluster();
  const { connection } = cluster.bus;
  const log = options.hours ? openHourFacts(connection) : openMinuteFacts(connection);
  const subject = options.hours ? subjects.loadHour(model) : subjects.loadMinute(model);
  const all = valueOf(await log.read({ subject })).filter(({ atUs }) => atUs >= sinceUs);
  if (all.length === 0) {
    throw new CommandError(`the history has no load of ${model}`, "serve it, or `load import`");
  }
  writeFacts(options.sources ? all : mergeFacts(all), options.out);
}

function writeFacts(facts: readonly LoadFact[], out: string | undefined): void {
  const text = formatFacts(facts);
  if (out === undefined) process.stdout.write(text);
  else {
    writeFileSync(out, text);
    console.log(`${facts.length} load facts are in ${out}`);
  }
}

function reportRepairs(path: string, { repairs }: Trace): void {
  for (const line of describeRepairs(path, repairs)) console.error(line);
}
