/** `millrace chaos run`: a drill from its file to its report. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Drill, type Journal, resultOf } from "@millrace/drills";
import { drillModel } from "@millrace/load";
import { type DrillFile, readDrillFile } from "./chaos-file.ts";
import { type DrillCluster, openRunning, type OwnOptions, startOwn } from "./chaos-cluster.ts";
import { openCompose } from "./chaos-compose.ts";
import { writeReport } from "./chaos-report.ts";
import { renderState, renderVerdict, type StateShown } from "./chaos-show.ts";
import { CommandError, usageError } from "./failure.ts";
import { pushModel } from "./push.ts";
import { waitUntilReady } from "./ready.ts";
import { Screen } from "./up/screen.ts";
import { readVersions } from "./versions.ts";

export interface RunOptions {
  readonly seed?: number;
  /** Seconds. */
  readonly duration?: number;
  readonly report?: string;
  readonly json?: string;
  readonly up?: true;
  /** A compose project whose containers are hit. */
  readonly compose?: string;
}

/** What the drill's process tells; it is another service's, so its words are repeated here. */
type Told =
  | { readonly type: "state"; readonly state: StateShown }
  | { readonly type: "said"; readonly line: string }
  | { readonly type: "done"; readonly journalFile: string }
  | { readonly type: "failed"; readonly problem: string; readonly remedy: string };

const PROGRAM = fileURLToPath(new URL("../../chaos-monkey/src/drill/main.ts", import.meta.url));
const MODEL_MS_MAX = 60_000;
/** Without a terminal to draw on, the state is said so often. */
const STATES_MS = 10_000;

/** @returns whether the drill is green. */
export async function runChaos(path: string, options: RunOptions): Promise<boolean> {
  if (options.up === true && options.compose !== undefined) {
    throw usageError("--up and --compose", "give one of them: a drill has one cluster");
  }
  const screen = new Screen(process.stdout);
  const say = (line: string): void => screen.say(line);
  const file = await readDrillFile(path);
  const { drill } = file;
  say(`${drill.title}: ${drill.description}`);
  const kept = options.report === undefined ? undefined : resolve(options.report);
  const directory = kept ?? (await mkdtemp(join(tmpdir(), "millrace-report-")));
  await mkdir(directory, { recursive: true });
  await rm(join(directory, "ledger.jsonl"), { force: true });
  const logDirectory = join(directory, "logs");
  const journal = await inCluster(drill, options, { logDirectory, say }, async (cluster) => {
    await pushModels(drill, cluster, say);
    return carryOut(file, options, { cluster, directory, screen });
  });
  const page = await writeReport(directory, journal);
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify(resultOf(journal), undefined, 2)}\n`);
  }
  screen.release();
  say(renderVerdict(journal));
  say(`report: ${page}`);
  return journal.millrace.judgement.passed;
}

async function inCluster<T>(
  { cluster: wish, load }: Drill,
  { up, compose }: RunOptions,
  told: OwnOptions,
  work: (cluster: DrillCluster) => Promise<T>,
): Promise<T> {
  if (compose !== undefined) {
    await using containers = await openCompose(compose, load.tenants, told);
    return await work(containers);
  }
  if (up !== true) {
    await using running = await openRunning(load.tenants);
    return await work(running);
  }
  await using own = await startOwn(wish, load.tenants, told);
  const result = await work(own);
  told.say("draining the drill's cluster");
  return result;
}

/** Models of drills that are not there yet; every other has to be there. */
async function pushModels(
  { load }: Drill,
  { store, bus }: DrillCluster,
  say: (line: string) => void,
): Promise<void> {
  const names = new Set(load.mix.map(({ model }) => model));
  if (load.jobs !== undefined) names.add(load.jobs.model);
  const directory = await mkdtemp(join(tmpdir(), "millrace-models-"));
  try {
    for (const name of names) {
      const known = await store.registry.get(name);
      if (known.ok && known.value !== undefined) continue;
      const model = drillModel(name);
      if (model === undefined) {
        throw new CommandError(`the cluster has no model ${name}`, "push it, or change the drill");
      }
      const path = join(directory, `${name}.onnx`);
      await writeFile(path, model.file);
      const { ref } = await pushModel(store, { ...model.options, file: path }, say);
      await waitUntilReady(bus, ref, { timeoutMs: MODEL_MS_MAX, report: say });
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Place {
  readonly cluster: DrillCluster;
  readonly directory: string;
  readonly screen: Screen;
}

async function carryOut(
  { path, drill, experiment }: DrillFile,
  options: RunOptions,
  { cluster, directory, screen }: Place,
): Promise<Journal> {
  const seed = options.seed ?? drill.seed;
  const { duration } = options;
  const shortened = duration === undefined ? "" : ` --duration ${duration}`;
  const inCompose = options.compose === undefined ? "" : ` --compose ${options.compose}`;
  const where = options.up === true ? " --up" : inCompose;
  const order = {
    drill,
    experiment,
    seed,
    durationUs: duration === undefined ? drill.load.durationUs : duration * 1_000_000,
    command: `millrace chaos run ${path} --seed ${seed}${shortened}${where}`,
    servers: cluster.servers,
    seedFile: cluster.seedFile,
    urls: cluster.urls,
    keys: cluster.keys,
    versions: await readVersions(cluster.bus),
    directory,
  };
  const child = fork(PROGRAM, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const interrupt = (): void => {
    screen.say("ending the drill: everything is healed first");
    if (child.connected) child.send({ op: "interrupt" });
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  let end: Extract<Told, { readonly type: "done" | "failed" }> | undefined;
  let shownAtMs = 0;
  child.on("message", (told: Told) => {
    if (told.type === "said") screen.say(told.line);
    else if (told.type !== "state") end = told;
    else if (screen.isTerminal || performance.now() - shownAtMs >= STATES_MS) {
      shownAtMs = performance.now();
      screen.show(renderState(told.state));
    }
  });
  child.send({ op: "run", order });
  await once(child, "exit");
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  if (end === undefined) {
    throw new CommandError(
      "the drill's process ended",
      "faults end by their own time; run it again",
    );
  }
  if (end.type === "failed") throw new CommandError(end.problem, end.remedy);
  return JSON.parse(await readFile(end.journalFile, "utf8")) as Journal;
}
