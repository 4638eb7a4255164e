/** The `millrace` command: one file per group of commands, put together here. */

import { Command, CommanderError, Option } from "commander";
import { registerBench } from "./bench.ts";
import { registerChaos } from "./chaos.ts";
import { registerCost } from "./cost.ts";
import { registerCuda } from "./cuda.ts";
import { describeFailure, EXIT_USAGE } from "./failure.ts";
import { registerForecast } from "./forecast.ts";
import { registerInfer } from "./infer.ts";
import { registerJob } from "./job.ts";
import { registerKey } from "./key.ts";
import { registerLoad } from "./load.ts";
import { registerModel } from "./model.ts";
import { registerPlan } from "./plan.ts";
import { registerPrepare } from "./prepare.ts";
import { registerReplay } from "./replay.ts";
import { registerUp } from "./start.ts";
import { registerStatus } from "./status.ts";

const VERSION = "0.1.0";
const HELP_COLUMNS = 100;

const ENVIRONMENT = `
Environment (what is not set is taken from the cluster of \`millrace up\`, if one is running):
  MILLRACE_URL             address of the ingress (http://127.0.0.1:8080)
  MILLRACE_API_KEY         API key for it
  MILLRACE_API_KEY_FILE    file with the API key, which ps and core dumps don't show
  MILLRACE_NATS_URL        NATS servers, with commas between them (nats://127.0.0.1:4222)
  MILLRACE_NATS_SEED_FILE  seed of the NATS user \`admin\` (.millrace/credentials/admin.nk)
  MILLRACE_DIRECTORY       where \`millrace up\` keeps its cluster, as --directory

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

export function buildProgram(): Command {
  const program = new Command("millrace")
    .description("An elastic inference cluster for ONNX models over NATS.")
    .version(VERSION)
    .addOption(
      new Option("--directory <path>", "of the cluster of `up`; before or after the command").env(
        "MILLRACE_DIRECTORY",
      ),
    )
    // One way to say it to what is below, and to the processes that `up` starts.
    .hook("preAction", (command) => {
      const { directory } = command.opts<{ readonly directory?: string }>();
      if (directory !== undefined) process.env.MILLRACE_DIRECTORY = directory;
    })
    .helpCommand(false)
    .showHelpAfterError("--help shows what it takes")
    .configureHelp({ helpWidth: HELP_COLUMNS })
    // Inherited by the commands below, so it stands first.
    .exitOverride()
    .addHelpText("after", ENVIRONMENT);
  registerUp(program);
  registerStatus(program);
  registerInfer(program);
  registerJob(program);
  registerModel(program);
  registerKey(program);
  registerPrepare(program);
  registerForecast(program);
  registerLoad(program);
  registerPlan(program);
  registerCost(program);
  registerChaos(program);
  registerBench(program);
  registerCuda(program);
  registerReplay(program);
  return program;
}

/** @returns the exit code; what was wrong is on standard error by then. */
export async function runProgram(words: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(words, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has said what is wrong. Help that was asked for is no failure.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    const { lines, exitCode } = describeFailure(error);
    console.error(lines);
    return exitCode;
  }
}
