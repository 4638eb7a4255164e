/**
 * One run: a cluster of real cores on virtual time, drawn from one seed. First a phase with faults
 * in which nothing wrong may happen, then everything is healed, and a phase in which the right
 * things must happen.
 */

import { type Fact, Observer, type Violation } from "@millrace/invariants";
import { modelRef } from "@millrace/protocol";
import { seededRandom } from "@millrace/std";
import { requestName } from "./bodies.ts";
import { type Cluster, Faults, type ModelChange } from "./faults.ts";
import { IngressNode } from "./ingress-node.ts";
import { JobDesk } from "./job-desk.ts";
import { JobStore } from "./job-store.ts";
import { judgesOf } from "./judges.ts";
import { Killings } from "./killings.ts";
import { Network } from "./network.ts";
import { ModelRegistry } from "./registry.ts";
import { drawScenario, losesWorkersByInputOnly, type Scenario, within } from "./scenario.ts";
import { SchedulerNode } from "./scheduler-node.ts";
import { Timeline } from "./timeline.ts";
import { Trace } from "./trace.ts";
import { WorkerNode } from "./worker-node.ts";
import { Workload } from "./workload.ts";
import type { Defence, Node, World } from "./world.ts";

export interface SimulateOptions {
  /** Defences that the run does without. */
  readonly without?: readonly Defence[];
  /** Instead of what the seed draws; the seed still draws everything else. */
  readonly scenario?: Scenario;
  /** Is given each line of the trace; the report has the last ones anyway. */
  readonly print?: (line: string) => void;
  /** Is given each fact that the checkers judge. */
  readonly observe?: (fact: Fact, atUs: number) => void;
}

export interface Report {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly violations: readonly Violation[];
  /** Violations beyond those that are kept. */
  readonly unreported: number;
  /** An exception in a core or in the simulator, with its stack; the run ended there. */
  readonly bug: string | undefined;
  /** The last things that happened before the first violation, or before the end. */
  readonly lastEvents: readonly string[];
  readonly virtualUs: number;
  readonly events: number;
  readonly requests: number;
  /** How requests ended: `ok` or an error's code, and how often. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly incidents: ReadonlyMap<string, number>;
}

/** A healed cluster is back within this time. */
const RECOVERY_US = 2_000_000;
const LIVENESS_US = 600_000;
/** Every deadline has passed by then. */
const LIVENESS_US_MAX = 12_000_000;
/** Cancellations and last beats arrive. */
const REST_US = 400_000;
const SLICE_US = 100_000;

export const simulate = (seed: number, options: SimulateOptions = {}): Report =>
  new Simulation(seed, options).run();

class Simulation {
  readonly #scenario: Scenario;
  readonly #timeline = new Timeline();
  readonly #trace: Trace;
  readonly #told: SimulateOptions["observe"];
  readonly #observer: Observer;
  readonly #outcomes = new Map<string, number>();
  readonly #killings: Killings;
  readonly #registry: ModelRegistry;
  readonly #network: Network;
  readonly #cluster: Cluster;
  readonly #workload: Workload;
  readonly #store: JobStore;
  readonly #jobs: JobDesk;
  readonly #faults: Faults;
  readonly #random;
  #faulty = true;
  #broken = false;

  constructor(seed: number, options: SimulateOptions) {
    this.#scenario = options.scenario ?? drawScenario(seed);
    this.#observer = new Observer(judgesOf(this.#scenario, () => this.#faulty));
    this.#killings = new Killings(this.#scenario.workers.map(({ id }) => id));
    const random = seededRandom(seed ^ 0x5eed);
    this.#random = random.fork();
    this.#trace = new Trace(this.#timeline, options.print);
    this.#told = options.observe;
    this.#registry = new ModelRegistry(this.#scenario.models, ({ name, version, digest }) => {
      this.#observe({ type: "bytesRegistered", model: modelRef(name, version), digest });
    });
    this.#network = new Network(this.#timeline, random.fork(), this.#scenario.network);
    const world = this.#world(options, random.fork());
    this.#cluster = {
      ingresses: this.#scenario.ingresses.map((id) => new IngressNode(world, id)),
      schedulers: this.#scenario.schedulers.map((id) => new SchedulerNode(world, id)),
      workers: this.#scenario.workers.map((plan) => new WorkerNode(world, plan)),
    };
    this.#workload = new Workload(world, this.#cluster.ingresses, random.fork());
    const change = (kind: ModelChange): void => this.#changeModel(kind);
    this.#faults = new Faults(world, this.#cluster, this.#workload, change, random.fork());
    this.#store = new JobStore(world);
    const { ingresses } = this.#cluster;
    this.#jobs = new JobDesk(world, this.#store, ingresses, this.#workload, random.fork());
  }

  run(): Report {
    let bug: string | undefined;
    try {
      this.#faults.startAll();
      this.#runSafety();
      this.#runLiveness();
    } catch (error) {
      bug = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    return {
      seed: this.#scenario.seed,
      scenario: this.#scenario,
      violations: this.#observer.violations,
      unreported: this.#observer.unreported,
      bug,
      lastEvents: this.#trace.lines(),
      virtualUs: this.#timeline.nowUs,
      events: this.#timeline.happened,
      requests: this.#workload.asked,
      outcomes: this.#outcomes,
      incidents: this.#faults.counts,
    };
  }

  #runSafety(): void {
    const { safetyUs } = this.#scenario;
    this.#workload.runSafety(safetyUs);
    this.#jobs.run(safetyUs);
    this.#faults.run(safetyUs);
    this.#advance(safetyUs);
  }

  #runLiveness(): void {
    this.#faulty = false;
    this.#trace.note("all", "heal", {});
    this.#faults.heal();
    // An overload from before is out of the way once its deadlines have passed.
    this.#advance(Math.max(RECOVERY_US, this.#scenario.deadlineUsMax));
    this.#workload.runLiveness(this.#timeline.nowUs + LIVENESS_US);
    this.#advance(LIVENESS_US);
    const untilUs = this.#timeline.nowUs + LIVENESS_US_MAX;
    const { ingresses, schedulers, workers } = this.#cluster;
    const advanceWhile = (isBusy: () => boolean): void => {
      while (this.#timeline.nowUs < untilUs && isBusy()) this.#advance(SLICE_US);
    };
    advanceWhile(() => !this.#jobs.isIdle);
    advanceWhile(() => ingresses.some(({ open }) => open > 0));
    this.#faults.freeDevices();
    advanceWhile(() => workers.some(({ heldBatches }) => heldBatches > 0));
    // Tickets of an ingress that is gone wait until their deadlines.
    advanceWhile(() => schedulers.some(({ queuedTickets }) => queuedTickets > 0));
    this.#advance(REST_US);
    const rest = (process: string, what: string, value: number): void =>
      this.#observe({ type: "restRead", process, what, value });
    for (const { id, open } of ingresses) rest(id, "open requests", open);
    for (const { id, queuedTickets } of schedulers) rest(id, "queued tickets", queuedTickets);
    for (const { id, heldBatches } of workers) rest(id, "batches", heldBatches);
    this.#store.tell((fact) => this.#observe(fact));
    this.#observer.finish(this.#timeline.nowUs);
  }

  #advance(us: number): void {
    this.#timeline.runUntil(this.#timeline.nowUs + us);
  }

  #world(options: SimulateOptions, random: World["random"]): World {
    const without = new Set(options.without ?? []);
    return {
      scenario: this.#scenario,
      timeline: this.#timeline,
      network: this.#network,
      random,
      registry: this.#registry,
      poisoned: new Set(),
      killers: new Set(),
      observe: (fact) => this.#observe(fact),
      trace: (process, what, detail) => this.#trace.note(process, what, detail),
      without: (defence) => without.has(defence),
      killedBy: (request, worker) => this.#noteKilled(request, worker),
      faulty: () => this.#faulty,
      ended: (node: Node) => this.#faults.restart(node),
    };
  }

  #observe(fact: Fact): void {
    this.#observer.observe(fact, this.#timeline.nowUs);
    if (fact.type === "processEnded") this.#killings.ended(fact.process, this.#timeline.nowUs);
    this.#told?.(fact, this.#timeline.nowUs);
    if (fact.type === "requestSettled") {
      const how = fact.outcome.ok ? "ok" : fact.outcome.code;
      this.#outcomes.set(how, (this.#outcomes.get(how) ?? 0) + 1);
    }
    if (!this.#broken && this.#observer.violations.length > 0) {
      this.#broken = true;
      this.#trace.freeze();
    }
  }

  #noteKilled(request: number, worker: string): void {
    const { value, max } = this.#killings.killed(request, worker, this.#timeline.nowUs);
    if (!losesWorkersByInputOnly(this.#scenario)) return;
    const [process, what] = [requestName(request), "workers lost"];
    this.#observe({ type: "levelRead", process, what, value, max });
  }

  #changeModel(kind: ModelChange): void {
    const { models } = this.#scenario;
    const plan = models[this.#random.below(models.length)];
    if (plan === undefined) return;
    if (kind === "readd") this.#registry.add(plan);
    else this.#registry[kind](plan);
    this.#trace.note("registry", kind, this.#registry.record(plan.name));
    for (const scheduler of this.#cluster.schedulers) {
      const delayUs = within(this.#random, 1_000, 50_000);
      // Whoever watches a key is told in order: a late notice has the latest record.
      this.#timeline.after(delayUs, () =>
        kind === "readd" ? scheduler.modelReadded(plan.name) : scheduler.modelChanged(plan.name),
      );
    }
  }
}
