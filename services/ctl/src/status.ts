/** `millrace status`: the cluster now, or again and again. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { openStore } from "@millrace/store";
import { type ClusterView, readCluster, renderCluster } from "./cluster.ts";
import { connectCluster, findCluster } from "./connect.ts";
import { CommandError } from "./failure.ts";

interface StatusOptions {
  readonly watch?: true;
  readonly json?: true;
}

const EVERY_MS = 1_000;
/** Home, and everything from there on erased: the table is drawn over the one before. */
const CLEAR = "\u001B[H\u001B[J";

export function registerStatus(program: Command): void {
  program
    .command("status")
    .summary("show workers, devices, models and queues")
    .description(
      "Shows the cluster on NATS at MILLRACE_NATS_URL (or of `millrace up`) as it says of itself.",
    )
    .option("--watch", "show it again every second until Ctrl-C")
    .option("--json", "print JSON, one line each time")
    .action(runStatus);
}

async function runStatus({ watch, json }: StatusOptions): Promise<void> {
  const address = findCluster(process.env);
  await using bus = await connectCluster(address);
  const show = (view: ClusterView): void => {
    if (json) console.log(JSON.stringify(view));
    else if (watch && process.stdout.isTTY)
      process.stdout.write(CLEAR + renderCluster(view) + "\n");
    else console.log(renderCluster(view));
  };
  const { registry } = await openStore(bus.connection);
  const view = await readCluster(bus, registry);
  if (view.workers.length + view.schedulers.length + view.ingresses.length === 0) {
    throw new CommandError(
      `NATS at ${address.servers.join(",")} is there, but no member of a cluster`,
      "start one with `npm run up`",
    );
  }
  show(view);
  if (!watch) return;
  const stopping = new AbortController();
  process.once("SIGINT", () => stopping.abort()).once("SIGTERM", () => stopping.abort());
  const { signal } = stopping;
  while (!signal.aborted) {
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) show(await readCluster(bus, registry));
  }
}
