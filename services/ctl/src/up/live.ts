/** The live table: the cluster as it says of itself, drawn again and again until the end. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import type { Store } from "@millrace/store";
import { readCluster, renderCluster } from "../cluster.ts";
import type { Screen } from "./screen.ts";

const EVERY_MS_TERMINAL = 1_000;
/** A log or a pipe keeps every table that it gets. */
const EVERY_MS_PLAIN = 10_000;

export interface LiveOptions {
  readonly bus: Bus;
  readonly store: Store;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

export async function watchCluster(options: LiveOptions): Promise<void> {
  const { screen, signal } = options;
  while (!signal.aborted) {
    const table = await readTable(options);
    if (signal.aborted) return;
    screen.show(`\n${table}`);
    const everyMs = screen.isTerminal ? EVERY_MS_TERMINAL : EVERY_MS_PLAIN;
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** NATS may be away for a moment: the table says so and is drawn again. */
async function readTable({ bus, store }: LiveOptions): Promise<string> {
  try {
    return renderCluster(await readCluster(bus, store.registry));
  } catch (error) {
    return `the cluster cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
