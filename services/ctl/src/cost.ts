/** `millrace cost`: what the fleet cost, whose cost it is, and the metering of every key. */

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import {
  BASELINES,
  type BaselineName,
  bookPeriod,
  meterCsv,
  meterJsonLines,
} from "@millrace/costing";
import { openCluster } from "./connect.ts";
import { accountFor } from "./cost-account.ts";
import { readPeriod, readSince } from "./cost-ledger.ts";
import { costPage } from "./cost-page.ts";
import { costJson, describeCosts, leftOut } from "./cost-table.ts";
import { usageError } from "./failure.ts";
import { readPriceBook } from "./replay.ts";

interface ReportOptions {
  readonly since: string;
  readonly html?: string;
  readonly json?: string;
  readonly priceBook?: string;
  readonly baseline: string;
  readonly budget?: string;
}

interface MeterOptions {
  readonly since: string;
  readonly csv?: string;
  readonly jsonl?: string;
  readonly priceBook?: string;
}

const MICROS = 1_000_000;
const BUDGET_MAX = 1e9;

export function registerCost(program: Command): void {
  const cost = program
    .command("cost")
    .summary("show what the fleet cost, and meter its use")
    .helpCommand(false)
    .description("Worker time from the ledger and use from the load facts, against a price book.");
  const common = (command: Command): Command =>
    command
      .option("--since <time>", "90m, 24h or 7d before the ledger's end, or a time", "24h")
      .option("--price-book <file>", "prices as JSON; AWS us-east-2 list prices by default");
  common(cost.command("report"))
    .summary("what it cost, by place, model, key and priority")
    .description(
      "Shows what the fleet cost by kind, zone and lifecycle, by model, by tenant (the id of the " +
        "API key) and by priority, what stood idle, and what a static fleet would have cost.",
    )
    .option("--html <file>", "write it with plots as one HTML file")
    .option("--json <file>", "write it as JSON")
    .option(
      "--baseline <name>",
      `the static fleet compared with: ${BASELINES.join(", ")}`,
      "static-peak",
    )
    .option("--budget <amount>", "of a calendar month (UTC): says whether it holds")
    .action(runReport);
  common(cost.command("meter"))
    .summary("what every key used and owes")
    .description(
      "Writes a row per API key, model and priority; the costs add up to those of `cost report`. " +
        "What has no price is named on standard error.",
    )
    .option("--csv <file>", "write it as CSV; to standard output without a file named")
    .option("--jsonl <file>", "write it as JSON lines")
    .action(runMeter);
}

async function runReport(options: ReportOptions): Promise<void> {
  const since = readSince(options.since);
  const prices = readPriceBook(options.priceBook);
  const baseline = readBaseline(options.baseline);
  const budget = options.budget === undefined ? undefined : readBudget(options.budget);
  await using cluster = await openCluster();
  const { connection } = cluster.bus;
  const period = await readPeriod(connection, since, { month: budget !== undefined });
  const costs = accountFor({ period, prices, baseline, budgetMicros: budget });
  console.log(describeCosts(costs));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(costJson(costs), undefined, 2)}\n`);
    console.log(`\nJSON: ${options.json}`);
  }
  if (options.html !== undefined) {
    writeFileSync(options.html, await costPage(costs, connection));
    console.log(`\nreport: ${options.html}`);
  }
}

async function runMeter(options: MeterOptions): Promise<void> {
  const since = readSince(options.since);
  const prices = readPriceBook(options.priceBook);
  await using cluster = await openCluster();
  const { workers, facts } = await readPeriod(cluster.bus.connection, since, { month: false });
  const { booked, unpriced } = bookPeriod(workers, facts, prices);
  if (options.csv !== undefined) writeFileSync(options.csv, meterCsv(booked));
  if (options.jsonl !== undefined) writeFileSync(options.jsonl, meterJsonLines(booked));
  const files = [options.csv, options.jsonl].filter((file) => file !== undefined);
  if (files.length === 0) process.stdout.write(meterCsv(booked));
  else console.log(`${booked.charges.length} rows are in ${files.join(" and ")}`);
  for (const line of leftOut(unpriced, booked.refused)) console.error(line);
}

function readBaseline(text: string): BaselineName {
  const name = BASELINES.find((each) => each === text);
  if (name !== undefined) return name;
  throw usageError(`--baseline ${text}`, `it is ${BASELINES.join(" or ")}`);
}

function readBudget(text: string): number {
  const amount = text.trim() === "" ? Number.NaN : Number(text);
  if (amount > 0 && amount <= BUDGET_MAX) return Math.round(amount * MICROS);
  throw usageError(`--budget ${text}`, "it is an amount in the price book's currency, above 0");
}
