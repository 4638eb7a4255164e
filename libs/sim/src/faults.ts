/** What is done to the cluster while a run is in its safety phase, and how all of it is healed. */

import { type Random, unreachable } from "@millrace/std";
import { GENTLE_GAP_US, type Incident, within } from "./scenario.ts";
import type { SchedulerNode } from "./scheduler-node.ts";
import type { WorkerNode } from "./worker-node.ts";
import type { IngressNode } from "./ingress-node.ts";
import type { Node, World } from "./world.ts";
import type { Workload } from "./workload.ts";

const MS = 1_000;
const DRAIN_LOOK_US = 20 * MS;
const DRAIN_LOOKS_MAX = 50;
const SLOWED_MAX = 10;
/** A client notices by its own pings that its connection is stale. */
const STALE_US_MAX = 1_500 * MS;

export type ModelChange = "replace" | "rollback" | "readd";

export interface Cluster {
  readonly ingresses: readonly IngressNode[];
  readonly schedulers: readonly SchedulerNode[];
  readonly workers: readonly WorkerNode[];
}

export class Faults {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #workload: Workload;
  readonly #changeModel: (kind: ModelChange) => void;
  readonly #random: Random;
  readonly #nodes: readonly Node[];
  #lastUs = -Infinity;
  readonly counts = new Map<Incident, number>();

  constructor(
    world: World,
    cluster: Cluster,
    workload: Workload,
    changeModel: (kind: ModelChange) => void,
    random: Random,
  ) {
    this.#world = world;
    this.#cluster = cluster;
    this.#workload = workload;
    this.#changeModel = changeModel;
    this.#random = random;
    this.#nodes = [...cluster.ingresses, ...cluster.schedulers, ...cluster.workers];
  }

  run(untilUs: number): void {
    for (const [kind, meanUs] of this.#world.scenario.incidents) this.#next(kind, meanUs, untilUs);
  }

  /** Ends every fault, but that a gentle run's cluster must do with what it has. */
  heal(): void {
    this.#world.network.heal();
    for (const node of this.#nodes) node.resume();
    for (const { device } of this.#cluster.workers) device?.heal();
    if (this.#world.scenario.gentle) return;
    this.freeDevices();
    this.startAll();
  }

  freeDevices(): void {
    for (const { device } of this.#cluster.workers) device?.unhang();
  }

  /** A process that ended is started again, soon or after a while. */
  restart(node: Node): void {
    const { gentle } = this.#world.scenario;
    const soon = !this.#world.faulty() || this.#random.chance(gentle ? 0.2 : 0.5);
    const delayUs = within(this.#random, 10 * MS, soon ? 100 * MS : 4_000 * MS);
    this.#world.timeline.after(delayUs, () => {
      if (!node.up) this.#start(node);
    });
  }

  startAll(): void {
    for (const node of this.#nodes) if (!node.up) this.#start(node);
  }

  #start(node: Node): void {
    this.#world.trace(node.id, "start", {});
    node.start();
  }

  #next(kind: Incident, meanUs: number, untilUs: number): void {
    const { timeline } = this.#world;
    const atUs = timeline.nowUs + Math.ceil(this.#random.exponential(meanUs));
    if (atUs >= untilUs) return;
    timeline.at(atUs, () => {
      if (!this.#isTooSoon()) {
        this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
        this.#happen(kind);
      }
      this.#next(kind, meanUs, untilUs);
    });
  }

  #isTooSoon(): boolean {
    const { nowUs } = this.#world.timeline;
    const sinceUs = nowUs - this.#lastUs;
    if (this.#world.scenario.gentle && sinceUs < GENTLE_GAP_US) return true;
    this.#lastUs = nowUs;
    return false;
  }

  #happen(kind: Incident): void {
    switch (kind) {
      case "workerCrash":
        return this.#crash(this.#spare(this.#cluster.workers));
      case "schedulerCrash":
        return this.#crash(this.#spare(this.#cluster.schedulers));
      case "ingressCrash":
        return this.#crash(this.#pick(this.#cluster.ingresses));
      case "hang": {
        const worker = this.#spare(this.#cluster.workers);
        if (worker !== undefined) this.#world.trace(worker.id, "hang", {});
        return worker?.device?.hang();
      }
      case "pause":
        return this.#pause();
      case "partition":
        return this.#partition();
      case "disconnect":
        return this.#disconnect();
      case "brokerRestart":
        return this.#restartBroker();
      case "workerDrain": {
        const worker = this.#spare(this.#cluster.workers);
        if (worker !== undefined) this.#world.trace(worker.id, "drain", {});
        return worker?.drain();
      }
      case "schedulerDrain":
        return this.#drainScheduler();
      case "ingressDrain": {
        const ingress = this.#spare(this.#cluster.ingresses);
        if (ingress !== undefined) this.#world.trace(ingress.id, "drain", {});
        return ingress?.drain();
      }
      case "newVersion":
        return this.#changeModel("replace");
      case "rollback":
        return this.#changeModel("rollback");
      case "readd":
        return this.#changeModel("readd");
      case "surge":
        return this.#workload.surge();
      case "herd":
        return this.#workload.herd();
      case "latency":
        return this.#slowLinks();
      case "halfOpen":
        return this.#halfOpen();
      case "slowConsumer":
        return this.#cutOff();
      case "allWorkersGone":
        for (const worker of this.#cluster.workers) if (worker.up) this.#crash(worker);
        return;
      case "slow":
      case "gpuLost":
      case "gpuFull":
      case "spotNotice":
      case "corruptCache":
        return this.#harm(kind);
      default:
        return unreachable(kind);
    }
  }

  /** What befalls one worker's device or disk. */
  #harm(kind: "slow" | "gpuLost" | "gpuFull" | "spotNotice" | "corruptCache"): void {
    const worker = this.#spare(this.#cluster.workers);
    const device = worker?.device;
    if (worker === undefined || device === undefined) return;
    const { timeline } = this.#world;
    const { gentle } = this.#world.scenario;
    const us = within(this.#random, 50 * MS, 1_500 * MS);
    this.#world.trace(worker.id, kind, { us });
    switch (kind) {
      case "slow":
        device.slowed = within(this.#random, 2, SLOWED_MAX);
        return timeline.after(us, () => void (device.slowed = 1));
      case "gpuLost":
        return device.lose();
      case "gpuFull":
        device.full = gentle || this.#random.chance(0.5) ? "for all" : "for several";
        return timeline.after(us, () => void (device.full = "no"));
      case "spotNotice":
        worker.drain();
        return timeline.after(us, () => {
          if (worker.device === device) worker.crash(true);
        });
      case "corruptCache":
        // What is in memory is sound: the next process finds the file.
        worker.corruptCache();
        return;
      default:
        return unreachable(kind);
    }
  }

  /** Letters of one process take longer for a while. */
  #slowLinks(): void {
    const { network, timeline } = this.#world;
    const node = this.#pick(this.#nodes);
    if (node === undefined) return;
    const slowUs = within(this.#random, 1 * MS, 150 * MS);
    const us = within(this.#random, 50 * MS, 1_500 * MS);
    this.#world.trace(node.id, "latency", { slowUs, us });
    network.slow(node.id, slowUs);
    timeline.after(us, () => network.slow(node.id, 0));
  }

  /** A connection that stands and carries nothing, until its end is noticed. */
  #halfOpen(): void {
    const { network, timeline } = this.#world;
    const node = this.#pick(this.#nodes);
    if (node === undefined) return;
    const others = this.#nodes.filter((other) => other !== node);
    const us = within(this.#random, 100 * MS, STALE_US_MAX);
    this.#world.trace(node.id, "halfOpen", { us });
    for (const { id } of others) {
      network.cut(node.id, id);
      network.cut(id, node.id);
    }
    timeline.after(us, () => {
      for (const { id } of others) {
        network.mend(node.id, id);
        network.mend(id, node.id);
      }
      network.disconnect(node.id, true);
    });
  }

  /** A process that reads too slowly is cut off by the broker, and loses what it had not read. */
  #cutOff(): void {
    const { gentle } = this.#world.scenario;
    const { ingresses, schedulers, workers } = this.#cluster;
    const node = this.#pick<Node>([...(gentle ? [] : ingresses), ...schedulers, ...workers]);
    if (node === undefined) return;
    const us = within(this.#random, 100 * MS, 1_200 * MS);
    this.#world.trace(node.id, "slowConsumer", { us });
    node.pause();
    this.#world.network.disconnect(node.id, true);
    this.#world.timeline.after(us, () => node.resume());
  }

  #pick<T extends Node>(nodes: readonly T[]): T | undefined {
    const up = nodes.filter((node) => node.up);
    return up[this.#random.below(up.length)];
  }

  /** In a gentle run there is always another. */
  #spare<T extends Node>(nodes: readonly T[]): T | undefined {
    const isBad = this.#cluster.workers.some(
      ({ device }) => device !== undefined && (device.hangs || device.full !== "no"),
    );
    const all = nodes.every((node) => node.up) && !isBad;
    return this.#world.scenario.gentle && !all ? undefined : this.#pick(nodes);
  }

  #crash(node: Node | undefined): void {
    if (node === undefined) return;
    const noticed = this.#random.chance(this.#world.scenario.noticed);
    this.#world.trace(node.id, "crash", { noticed });
    node.crash(noticed);
  }

  #pause(): void {
    const { ingresses, schedulers, workers } = this.#cluster;
    // An ingress that stands still fails what is due meanwhile, whatever the others do; and so does
    // the last scheduler or worker.
    const node = this.#world.scenario.gentle
      ? this.#spare<Node>(this.#random.chance(0.5) ? schedulers : workers)
      : this.#pick<Node>([...ingresses, ...schedulers, ...workers]);
    if (node === undefined) return;
    const us = within(this.#random, 5 * MS, this.#random.chance(0.5) ? 100 * MS : 1_200 * MS);
    this.#world.trace(node.id, "pause", { us });
    node.pause();
    this.#world.timeline.after(us, () => {
      this.#world.trace(node.id, "resume", {});
      node.resume();
    });
  }

  /** Between two processes, or one and everyone; in one direction, or in both. */
  #partition(): void {
    const { network, timeline } = this.#world;
    const one = this.#nodes[this.#random.below(this.#nodes.length)];
    if (one === undefined) return;
    const others = this.#nodes.filter((node) => node !== one);
    const all = this.#random.chance(0.5);
    const chosen = all ? others : [others[this.#random.below(others.length)] ?? one];
    const out = this.#random.chance(0.7);
    const back = !out || this.#random.chance(0.7);
    const us = within(this.#random, 10 * MS, 1_500 * MS);
    this.#world.trace(one.id, "partition", { from: chosen.map(({ id }) => id), out, back, us });
    for (const { id } of chosen) {
      if (out) network.cut(one.id, id);
      if (back) network.cut(id, one.id);
    }
    timeline.after(us, () => {
      for (const { id } of chosen) {
        if (out) network.mend(one.id, id);
        if (back) network.mend(id, one.id);
      }
    });
  }

  #disconnect(): void {
    const node = this.#pick(this.#nodes);
    if (node === undefined) return;
    this.#world.trace(node.id, "disconnect", {});
    const { gentle, noticed } = this.#world.scenario;
    // Nobody can tell what was lost in a short break of which nobody was told.
    this.#world.network.disconnect(node.id, gentle || this.#random.chance(noticed));
  }

  #restartBroker(): void {
    const { network, timeline, scenario } = this.#world;
    if (!network.brokerUp) return;
    const us = within(this.#random, 50 * MS, scenario.gentle ? 300 * MS : 1_000 * MS);
    this.#world.trace("broker", "restart", { us });
    network.stopBroker();
    timeline.after(us, () => network.startBroker());
  }

  #drainScheduler(): void {
    const scheduler = this.#spare(this.#cluster.schedulers);
    if (scheduler === undefined) return;
    this.#world.trace(scheduler.id, "drain", {});
    scheduler.drain();
    const { life } = scheduler;
    const look = (left: number): void => {
      if (!scheduler.up || scheduler.life !== life) return;
      if (scheduler.drained || left === 0) return scheduler.crash(true);
      this.#world.timeline.after(DRAIN_LOOK_US, () => look(left - 1));
    };
    look(DRAIN_LOOKS_MAX);
  }
}
