/** A fault in a cluster of a test: injected, felt, healed, and everybody well again. */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type LinkReport, ProxyControl } from "@millrace/faults";
import type { Blast, FaultEnd } from "@millrace/protocol";
import { present } from "@millrace/std";
import type { Cluster } from "./cluster.ts";
import { Members } from "./members.ts";
import { type Order, Orders } from "./orders.ts";

/** A small cluster has few of each: a fault may hit all of them. */
export const ANYBODY: Blast = { targetsMax: 10, fractionMax: 1, healthyMin: 0 };
const BEATING = /scheduler|worker/;
const FELT_MS_MAX = 10_000;
const END_MS_MAX = 15_000;

export interface Felt {
  readonly order: Order;
  /** Resolves when it is felt; it fails the test when that takes too long. */
  readonly felt: () => Promise<void>;
}

export class Trial {
  readonly orders: Orders;
  readonly #cluster: Cluster;
  readonly #members: Members;
  readonly #proxy: ProxyControl;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.orders = new Orders(cluster.bus);
    this.#members = new Members(cluster.bus);
    this.#proxy = new ProxyControl(present(cluster.stage, "a stage for faults").proxy);
  }

  /** Injects, waits until it is felt, heals, and waits until all are well; how it ended. */
  async feel({ order, felt }: Felt): Promise<FaultEnd> {
    const { orders } = this;
    const { id } = await orders.inject(order, ANYBODY);
    try {
      await felt();
    } finally {
      // It may be over just now. One that nobody felt must not meet the next one.
      if (orders.end(id) === undefined) await orders.heal(id).catch(() => undefined);
    }
    const ended = (): boolean => orders.end(id) !== undefined;
    await this.#cluster.until(`the end of ${id}`, ended, END_MS_MAX);
    for (const member of this.#cluster.ids) if (BEATING.test(member)) await this.awaitWell(member);
    return present(orders.end(id), `the end of ${id}`);
  }

  /** It is heard, and the accelerator holds the model. */
  async awaitWell(id: string): Promise<void> {
    await this.#cluster.until(`${id} to be well`, async () => {
      const holds = id !== "gpu-worker-1" || this.#members.holds(id, "double@1");
      return holds && (await this.beatsIn(id, 150)) > 0;
    });
  }

  /** How many heartbeats of the member come in that time. */
  async beatsIn(id: string, ms: number): Promise<number> {
    const before = this.#beatOf(id);
    await sleep(ms);
    return this.#beatOf(id) - before;
  }

  /** As the kernel has it: `T` is stopped. */
  stateOf(id: string): string {
    const line = readFileSync(`/proc/${this.#cluster.pid(id)}/stat`, "latin1");
    return line.slice(line.lastIndexOf(")") + 2)[0] ?? "";
  }

  /** The counters of the member's way through the fault proxy. */
  async linkOf(id: string): Promise<LinkReport[string]> {
    return present((await this.#proxy.report())[id], id);
  }

  /** Resolves when the member answers. @throws Error when it does not within a second. */
  async ping(role: string, id: string): Promise<void> {
    const { connection } = this.#cluster.bus;
    const options = { strategy: "timer", maxWait: 1_000 } as const;
    for await (const { data } of await connection.requestMany(`$SRV.PING.${role}`, "", options)) {
      if (new TextDecoder().decode(data).includes(`"${id}"`)) return;
    }
    throw new Error(`${id} gives no answer`);
  }

  silent(id: string): () => Promise<void> {
    const silent = async (): Promise<boolean> => (await this.beatsIn(id, 400)) === 0;
    return () => this.#cluster.until(`${id} to fall silent`, silent, FELT_MS_MAX);
  }

  counted(
    id: string,
    counter: "lost" | "repeated" | "swapped" | "stalled" | "resets",
  ): () => Promise<void> {
    const counted = async (): Promise<boolean> => (await this.linkOf(id))[counter] > 0;
    return () => this.#cluster.until(`${counter} of ${id}`, counted, FELT_MS_MAX);
  }

  /** From now on. */
  startedAgain(id: string): () => Promise<void> {
    const before = this.#cluster.restarts(id);
    const again = (): boolean => this.#cluster.restarts(id) > before;
    return () => this.#cluster.until(`${id} to start again`, again, FELT_MS_MAX);
  }

  #beatOf(id: string): number {
    return (this.#members.worker(id) ?? this.#members.scheduler(id))?.beat ?? -1;
  }
}
