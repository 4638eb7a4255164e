/** `millrace forecast`: what is expected, drawn, and how good the forecasts of a trace would be. */

import type { Command } from "commander";
import { METHOD_NAMES, runBacktest } from "./forecast-backtest.ts";
import { runShow } from "./forecast-show.ts";

export function registerForecast(program: Command): void {
  const forecast = program
    .command("forecast")
    .summary("show forecasts, and measure them on traces")
    .helpCommand(false)
    .description("The next day of a model's load, with quantiles.");
  forecast
    .command("show")
    .summary("show the forecast of a model, or of a trace's end")
    .description(
      "Shows the forecast that the forecaster service keeps for a model, or one made now from a trace.",
    )
    .argument("[model]", "the model; left out with --csv")
    .option("--csv <file>", "forecast the day after this trace instead")
    .option("--at <time>", "forecast from this time in the trace, with what came after it drawn in")
    .option("--events <file>", "known events of the trace: start,end,name,factor")
    .option("--duplicates <rule>", "rows of one time that differ: refuse or sum", "refuse")
    .option("--prophet", "with --csv: draw Prophet's forecast beside it")
    .option("--plot", "draw it in the terminal")
    .option("--svg <file>", "write it as an SVG")
    .option("--json", "print it as JSON")
    .action(runShow);
  forecast
    .command("backtest")
    .summary("measure methods on traces")
    .description(
      "Forecasts a day ahead from every day of a trace, by what was known then, and prints the error " +
        "(WAPE by hours), its ratio to the same hour last week, and the share of hours that kept to " +
        "the 95 % quantile.",
    )
    .argument("<csv...>", "traces: timestamp,count, or one row per request")
    .option("--methods <names>", `with commas between them: ${METHOD_NAMES.join(", ")}`)
    .option("--json <file>", "write a row per method (and trace, with several) as JSON")
    .option("--events <file>", "known events: start,end,name,factor")
    .option("--duplicates <rule>", "rows of one time that differ: refuse or sum", "refuse")
    .action(runBacktest);
}
