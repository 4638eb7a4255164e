/**
 * `millrace chaos fault` and `probe`: one step of a drill by itself, as the providers of a drill's
 * file name them. So Chaos Toolkit's own `chaos run` can carry out the faults of the same file.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Metric, parseWords } from "@millrace/drills";
import { type Ask, withMonkey } from "./chaos-link.ts";
import { type ClusterView, readCluster } from "./cluster.ts";
import { openCluster } from "./connect.ts";
import { CommandError, usageError } from "./failure.ts";

const POLL_MS = 250;

/** Injects a fault and returns when it is over; Ctrl-C ends it before its time. */
export async function injectOne(words: readonly string[]): Promise<void> {
  const parsed = parseWords(["chaos", "fault", ...words]);
  if (typeof parsed === "string") throw usageError(parsed, "see docs/drills.md");
  if (parsed.type !== "act" || parsed.act.act !== "inject") {
    throw usageError(`${words[0] ?? ""} is made by a drill's own load`, "use it in a drill's file");
  }
  const { fault } = parsed.act;
  await withMonkey(async (ask) => {
    const { fault: injected } = await ask({ v: 1, op: "inject", fault });
    if (injected === undefined) throw new CommandError("no fault was named", "see its log");
    const { id, kind, targets } = injected;
    console.log(`${id}: ${kind} of ${targets.join(", ")}`);
    const heal = (): void => void ask({ v: 1, op: "heal", id }).catch(() => undefined);
    process.once("SIGINT", heal).once("SIGTERM", heal);
    while (await lasts(ask, id)) await sleep(POLL_MS);
    process.off("SIGINT", heal).off("SIGTERM", heal);
  });
}

async function lasts(ask: Ask, id: string): Promise<boolean> {
  const { faults = [] } = await ask({ v: 1, op: "status" });
  return faults.some((fault) => fault.id === id);
}

/** Prints what the members say of themselves; what a drill's clients see is only seen by one. */
export async function probeOne(words: readonly string[]): Promise<void> {
  const parsed = parseWords(["chaos", "probe", ...words]);
  if (typeof parsed === "string") throw usageError(parsed, "see docs/drills.md");
  const read = parsed.type === "probe" ? READINGS[parsed.metric] : undefined;
  if (read === undefined) {
    const problem = `${words[0]} is of the requests of a drill, and there is none`;
    throw usageError(problem, "it is read by `millrace chaos run`");
  }
  await using cluster = await openCluster();
  console.log(read(await readCluster(cluster.bus, cluster.store.registry)));
}

const READINGS: Readonly<Partial<Record<Metric, (cluster: ClusterView) => number>>> = {
  "healthy-workers": ({ workers }) => workers.filter(({ state }) => state === "ready").length,
  "healthy-schedulers": ({ schedulers }) =>
    schedulers.filter(({ state }) => state === "ready").length,
  "queued-rows": ({ schedulers }) =>
    schedulers.reduce((sum, { queuedRows }) => sum + queuedRows, 0),
};
