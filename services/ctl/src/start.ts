/** The command line of `millrace up`. */

import { type Command, InvalidArgumentError } from "commander";
import type { UpOptions } from "./up/options.ts";

const HELP = `
It ends everything that it started on Ctrl-C, after the requests that it has accepted. Data is kept
in .millrace of the repository, or where --directory says: models, keys, credentials and logs. The
other commands find the cluster there: give them the same --directory, or set MILLRACE_DIRECTORY.`;

export function registerUp(program: Command): void {
  program
    .command("up")
    .summary("run a whole cluster on this machine until Ctrl-C")
    .description(
      "Starts NATS, an ingress, two schedulers, a gpu-worker and a cpu-worker, loads the example " +
        "models, asks each for a prediction, and shows the cluster.",
    )
    .option("--servers <urls>", "use a NATS that is running: nats://host:port, with commas")
    .option("--credentials <directory>", "the folder with the seeds of its users, for --servers")
    .option("--ha", "three NATS servers, of which one may be lost, with a store of their own")
    .option("--chaos", "let faults be injected on purpose: `millrace chaos`, chaos/*.yaml")
    .option("--elastic", "play an accelerated day against a fleet that follows its forecast")
    .option("--day-minutes <minutes>", "how long that day takes (default: 10)", minutes)
    .option("--trace <csv>", "the trace whose last day is played; made up without it")
    .option(
      "--port <port>",
      "of the ingress; the next free one if it is busy (default: 8080)",
      port,
    )
    .option("--ingresses <count>", "on ports one after the other (default: 1)", count(1))
    .option("--schedulers <count>", "(default: 2)", count(1))
    .option("--gpu-workers <count>", "(default: 1)", count(0))
    .option("--cpu-workers <count>", "(default: 1)", count(0))
    .option("--device-memory <size>", "of an emulated device, such as 512MiB (default: 2GiB)")
    .addHelpText("after", HELP)
    .action(async (options: UpOptions) => {
      // The other commands start faster without it.
      const { runUp } = await import("./up/up.ts");
      await runUp(options);
    });
}

const COUNT_MAX = 64;

const count =
  (least: number) =>
  (text: string): number =>
    whole(text, least, COUNT_MAX);

const minutes = (text: string): number => whole(text, 2, MINUTES_A_DAY);

const MINUTES_A_DAY = 1_440;

const port = (text: string): number => whole(text, 1, 65_535);

function whole(text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
}
