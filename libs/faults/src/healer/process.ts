/**
 * The healer: a process of its own session that knows how every fault under way is undone, and does
 * it when told to, when the fault's time is over, or at once when whoever injects is gone, which it
 * sees by the end of its input. JSON lines in, JSON lines out.
 */

import { createInterface } from "node:readline";
import { type HealAction, Throttling, undo } from "./actions.ts";
import type { FromHealer, ToHealer } from "./healer.ts";

interface Entry {
  readonly undo: readonly HealAction[];
  readonly timer: NodeJS.Timeout;
  throttling?: Throttling;
}

const entries = new Map<string, Entry>();
/** What is being undone: the process stays until it is. */
const healing = new Set<Promise<void>>();

// A terminal's or a supervisor's signals are for the injector; this one ends after it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
process.stdout.on("error", () => undefined);

const say = (message: FromHealer): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`);
};

function heal(id: string, by: "told" | "time"): void {
  const entry = entries.get(id);
  if (entry === undefined) return;
  entries.delete(id);
  clearTimeout(entry.timer);
  entry.throttling?.[Symbol.dispose]();
  const work = (async (): Promise<void> => {
    const errors: string[] = [];
    for (const action of entry.undo) {
      await undo(action).catch((error: unknown) => errors.push(String(error)));
    }
    say({ healed: id, by, errors });
  })();
  healing.add(work);
  void work.finally(() => healing.delete(work));
}

function hear(message: ToHealer): void {
  switch (message.type) {
    case "hold": {
      const timer = setTimeout(() => heal(message.id, "time"), message.durationUs / 1000);
      entries.set(message.id, { undo: message.undo, timer });
      return say({ held: message.id });
    }
    case "throttle": {
      const entry = entries.get(message.id);
      if (entry !== undefined) entry.throttling = new Throttling(message.throttle);
      return;
    }
    case "heal":
      return heal(message.id, "told");
  }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => hear(JSON.parse(line) as ToHealer));
lines.on("close", () => {
  for (const id of entries.keys()) heal(id, "told");
  void Promise.allSettled(healing).then(() => process.exit(0));
});
