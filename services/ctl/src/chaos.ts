/** `millrace chaos`: faults on purpose, and drills that are judged. */

import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { type Journal, JOURNAL_VERSION, planDrill, type PlanMember } from "@millrace/drills";
import { formatTable } from "@millrace/std";
import { readDrillFile } from "./chaos-file.ts";
import { withMonkey } from "./chaos-link.ts";
import { renderPlan } from "./chaos-show.ts";
import { injectOne, probeOne } from "./chaos-single.ts";
import { CommandError, usageError } from "./failure.ts";

const DRILLS = fileURLToPath(new URL("../../../chaos", import.meta.url));

export function registerChaos(program: Command): void {
  const chaos = program
    .command("chaos")
    .summary("faults on purpose, and drills that prove what is survived")
    .helpCommand(false);
  chaos
    .command("plan")
    .summary("what a drill would do; nothing is touched")
    .argument("<file>", "the drill: YAML or JSON")
    .option("--seed <n>", "draws the targets, in place of the file's", wholeNumber)
    .option("--duration <s>", "of the load, in place of the file's", wholeNumber)
    .action(planChaos);
  chaos
    .command("run")
    .summary("run a drill under load, judge it, and write its report")
    .argument("<file>", "the drill: YAML or JSON")
    .option("--seed <n>", "draws targets and load, in place of the file's", wholeNumber)
    .option("--duration <s>", "of the load, in place of the file's", wholeNumber)
    .option("--report <dir>", "where report.html, report.md and journal.json go")
    .option("--json <file>", "the figures alone, for programs")
    .option("--up", "start a cluster for it, and end that with it")
    .option("--compose <project>", "against the containers of a compose project on this machine")
    .action(async (file: string, options: object) => {
      const { runChaos } = await import("./chaos-run.ts");
      if (!(await runChaos(file, options))) process.exitCode = 1;
    });
  chaos
    .command("fault")
    .summary("inject one fault, and wait for its end; Ctrl-C heals it")
    .argument("<words...>", "KIND, --id ID or --role ROLE [--count N], --for TIME, --option A=B")
    .allowUnknownOption()
    .action((words: readonly string[]) => injectOne(words));
  chaos
    .command("probe")
    .summary("print a metric of the members")
    .argument("<words...>", "healthy-workers, healthy-schedulers or queued-rows")
    .allowUnknownOption()
    .action((words: readonly string[]) => probeOne(words));
  chaos
    .command("abort")
    .summary("heal everything, and end the drill or the monkey mode that runs")
    .action(abortChaos);
  chaos.command("list").summary("drills, kinds of faults, and what runs").action(listChaos);
  chaos
    .command("report")
    .summary("write the report of a drill again")
    .argument("<journal>", "journal.json, or the folder that it is in")
    .action(reportChaos);
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw usageError(text, "expected a whole number");
}

interface PlanOptions {
  readonly seed?: number;
  readonly duration?: number;
}

async function planChaos(path: string, { seed, duration }: PlanOptions): Promise<void> {
  const { drill } = await readDrillFile(path);
  const members = await findMembers();
  const plan = planDrill(drill, {
    seed: seed ?? drill.seed,
    ...(duration === undefined ? {} : { durationUs: duration * 1_000_000 }),
    ...(members === undefined ? {} : { members }),
  });
  if (!plan.ok) {
    const problems = plan.error.map(({ message }) => message).join("\n       ");
    throw new CommandError(problems, "change the drill or the cluster; nothing was touched");
  }
  console.log(renderPlan(drill, plan.value, members !== undefined));
}

/** Undefined where there is no cluster with faults: a plan is then shown without targets. */
async function findMembers(): Promise<readonly PlanMember[] | undefined> {
  try {
    return await withMonkey(async (ask) => (await ask({ v: 1, op: "list" })).members ?? []);
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

async function abortChaos(): Promise<void> {
  const { healed = [] } = await withMonkey((ask) =>
    ask({ v: 1, op: "abort", reason: "by command" }),
  );
  console.log(healed.length === 0 ? "no fault was under way" : `healed ${healed.join(", ")}`);
}

async function listChaos(): Promise<void> {
  console.log("drills:");
  const files = existsSync(DRILLS) ? await readdir(DRILLS) : [];
  const rows: string[][] = [];
  for (const name of files.filter((one) => /\.(ya?ml|json)$/.test(one)).toSorted()) {
    const { drill } = await readDrillFile(join(DRILLS, name));
    rows.push([`  chaos/${name}`, drill.title]);
  }
  console.log(formatTable(rows));
  const [listed, status] = await withMonkey(
    async (ask) => [await ask({ v: 1, op: "list" }), await ask({ v: 1, op: "status" })] as const,
  );
  console.log("\nfaults:");
  const kinds = (listed.kinds ?? []).map(({ kind, missing }) => [
    `  ${kind}`,
    missing ?? "can be made",
  ]);
  console.log(formatTable(kinds));
  const members = (listed.members ?? []).map(({ id, alive }) => (alive ? id : `${id} (away)`));
  console.log(`\nmembers: ${members.join(", ")}`);
  const running = (status.faults ?? []).map(
    ({ kind, targets }) => `${kind} of ${targets.join(", ")}`,
  );
  console.log(`under way: ${running.length === 0 ? "nothing" : running.join("; ")}`);
}

async function reportChaos(path: string): Promise<void> {
  const file = path.endsWith(".json") ? path : join(path, "journal.json");
  const journal = JSON.parse(await readFile(file, "utf8")) as Partial<Journal>;
  if (journal.millrace?.version !== JOURNAL_VERSION) {
    const problem = `${file} is no journal of a drill, or another version's`;
    throw new CommandError(problem, "give the journal.json of a run, or run the drill again");
  }
  const { writeReport } = await import("./chaos-report.ts");
  console.log(await writeReport(join(file, ".."), journal as Journal));
}
