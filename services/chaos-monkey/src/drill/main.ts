/** The process of one drill. The command that starts it gives the order and shows what is told. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inboxPrefix } from "@millrace/broker";
import { connectBus } from "@millrace/bus";
import type { Log } from "@millrace/std";
import type { DrillCommand, DrillOrder, DrillReport } from "./messages.ts";
import { DrillError } from "./prepare.ts";
import { runDrill } from "./run-drill.ts";

const ending = new AbortController();

const report = (said: DrillReport): void => {
  // Nobody is left to read it when the command has gone.
  if (process.connected) process.send?.(said);
};

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields, message) => console.error(message, fields),
};

async function run(order: DrillOrder): Promise<void> {
  const bus = await connectBus({
    servers: order.servers,
    name: `drill-${process.pid}`,
    seed: (await readFile(order.seedFile, "utf8")).trim(),
    inboxPrefix: inboxPrefix("admin"),
    log: silent,
  });
  try {
    const { status } = await runDrill(order, { bus, report, signal: ending.signal });
    report({ type: "done", status, journalFile: join(order.directory, "journal.json") });
  } catch (error) {
    if (!(error instanceof DrillError)) throw error;
    report({ type: "failed", problem: error.message, remedy: error.remedy });
  } finally {
    await bus.drain();
  }
}

process.on("message", (command: DrillCommand) => {
  if (command.op === "interrupt") {
    ending.abort();
    return;
  }
  run(command.order).then(
    () => process.disconnect(),
    (error: unknown) => {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
      report({ type: "failed", problem, remedy: "this is a defect of the drill itself" });
      process.disconnect();
    },
  );
});
// The command is gone: faults end by their own time, and there is nobody to judge for.
process.on("disconnect", () => ending.abort());
// A terminal's Ctrl-C reaches the whole group; the command says when the drill is to end.
process.on("SIGINT", () => undefined);
