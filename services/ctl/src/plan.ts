/** `millrace plan show`: the fleet that the forecaster plans, and the reason for each number. */

import type { Command } from "commander";
import { Documents } from "@millrace/history";
import { formatTimestamp } from "@millrace/load-facts";
import { checkValue, planSchema, type WrittenPlan } from "@millrace/protocol";
import { formatTable } from "@millrace/std";
import { openCluster } from "./connect.ts";
import { money } from "./cost-table.ts";
import { CommandError, valueOf } from "./failure.ts";

export function registerPlan(program: Command): void {
  const plan = program
    .command("plan")
    .summary("show the plan of the fleet")
    .helpCommand(false)
    .description("What the forecaster plans from the forecasts, the price book and the rules.");
  plan
    .command("show")
    .summary("show the fleet of the next day, step by step, with reasons")
    .description("Shows what is planned, a row for each change of the fleet.")
    .option("--json", "print it as JSON, every step")
    .action(runShow);
}

async function runShow({ json }: { readonly json?: true }): Promise<void> {
  await using cluster = await openCluster();
  const documents = await Documents.open(cluster.bus.connection);
  const document = valueOf(await documents.get("plan"));
  if (document === undefined) {
    throw new CommandError(
      "there is no plan",
      "a forecaster makes one once a model with load has run on a worker",
    );
  }
  const plan = valueOf(checkValue(planSchema, document.content));
  console.log(json ? JSON.stringify(plan) : describePlan(plan, document.atUs));
}

export function describePlan(plan: WrittenPlan, writtenAtUs: number): string {
  const { infeasible, micros, startUs, stepUs, steps } = plan;
  const lengthHours = (steps.length * stepUs) / 3_600_000_000;
  return [
    `from ${formatTimestamp(startUs)}, ${lengthHours.toFixed(1)} h in steps of ` +
      `${stepUs / 1_000_000} s, ${money(micros)} in all; made ${formatTimestamp(writtenAtUs)}`,
    ...infeasible.map(({ message }) => `not met: ${message}`),
    "",
    formatTable([["from", "fleet", "$/h", "because"], ...changes(plan)]),
  ].join("\n");
}

/** Steps that have the fleet of the step before are left out. */
function changes({ steps }: WrittenPlan): string[][] {
  const rows: string[][] = [];
  let before = "";
  for (const { atUs, microsPerHour, reasons, workers } of steps) {
    const fleet = workers
      .filter(({ count }) => count > 0)
      .map(({ count, kind, lifecycle, zone }) => `${count} ${kind} ${lifecycle} in ${zone}`);
    const now = fleet.join(", ") || "nobody";
    if (now === before) continue;
    before = now;
    const lines = Math.max(1, fleet.length, reasons.length);
    for (let line = 0; line < lines; line++) {
      const first = line === 0;
      rows.push([
        first ? formatTimestamp(atUs) : "",
        fleet[line] ?? (first ? now : ""),
        first ? money(microsPerHour) : "",
        reasons[line] ?? "",
      ]);
    }
  }
  return rows;
}
