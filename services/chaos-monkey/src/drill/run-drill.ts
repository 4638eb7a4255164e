/** Runs one drill: steady state, load, method, rollbacks, steady state, verdict, journal. */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@millrace/bus";
import {
  type ActivityRun,
  brokenGuard,
  inside,
  type Journal,
  type JournalStatus,
  type Metric,
  type Probe,
  type Sample,
  type SteadyState,
} from "@millrace/drills";
import { LoadProcess, type Progress, readLedger } from "@millrace/load";
import { present } from "@millrace/std";
import { writeJournal } from "./conclude.ts";
import { attemptsSince, MemoryWatch, readAttempts } from "./figures.ts";
import type { DrillOrder, DrillReport, DrillState } from "./messages.ts";
import { Method } from "./method.ts";
import { MonkeyLink } from "./monkey-link.ts";
import { DrillError, type Prepared, prepareDrill } from "./prepare.ts";
import { Recent } from "./recent.ts";
import { Watch } from "./watch.ts";

export interface DrillWorld {
  readonly bus: Bus;
  readonly report: (said: DrillReport) => void;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

const SAMPLE_MS = 250;
const STATE_MS = 1_000;
/** After the load, for what the members still hold to drain. */
const REST_MS_MAX = 10_000;
/** Why this process heals everything itself, at the end. */
const OVER = "the drill is over";

const unixUs = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** @throws DrillError where the drill cannot begin; nothing was touched then. */
export async function runDrill(order: DrillOrder, world: DrillWorld): Promise<Journal> {
  await using run = new DrillRun(order, world);
  return await run.run();
}

class DrillRun implements AsyncDisposable {
  readonly #order: DrillOrder;
  readonly #world: DrillWorld;
  readonly #monkey: MonkeyLink;
  readonly #recent = new Recent();
  readonly #samples: Sample[] = [];
  readonly #deviations: string[] = [];
  readonly #aborting = new AbortController();
  readonly #resources = new AsyncDisposableStack();
  #method: Method | undefined;
  #watch: Watch | undefined;
  #stage: DrillState["stage"] = "preparing";
  #beganUs = 0;
  #open = 0;
  #jobsEnded = 0;
  #stateAtMs = 0;
  /** Why it ends before its time. */
  #aborted: { readonly status: JournalStatus; readonly reason: string } | undefined;

  constructor(order: DrillOrder, world: DrillWorld) {
    this.#order = order;
    this.#world = world;
    this.#monkey = new MonkeyLink(world.bus, (event) => {
      this.#method?.heard(event);
      if (event.event === "aborted" && event.detail !== OVER)
        this.#abort("aborted", event.detail || "aborted by command");
    });
  }

  async run(): Promise<Journal> {
    const { order, prepared, load } = await this.#begin();
    const { say } = this;
    const start = new Date();
    this.#stage = "warming up";
    const attemptsBefore = await readAttempts(this.#world.bus);
    this.#beganUs = await load.begin();
    const memory = this.#resources.use(new MemoryWatch(this.#monkey, () => this.#nowUs));
    await memory.look();
    this.#resources.use(this.#sampling());
    await this.#until(prepared.plan.steps[0]?.atUs ?? order.drill.load.warmUpUs);
    const before = this.#steadyState("before");
    if (before !== null && !before.steady_state_met) {
      this.#abort("failed", "the steady state did not hold before the method");
    }
    this.#stage = "running";
    const method = this.#startMethod(prepared, load);
    await method.run();
    // Without a method, all of the load is what is run.
    if (prepared.plan.steps.length > 0) this.#stage = "calming down";
    await this.#until(prepared.plan.durationUs);
    const after = this.#aborted === undefined ? this.#steadyState("after") : null;
    const rollbacks = await this.#rollBack();
    if (this.#aborted !== undefined) load.stop();
    say("the load has ended; following what is still open");
    await load.ended;
    await memory.look();
    const attempts = attemptsSince(attemptsBefore, await readAttempts(this.#world.bus));
    await this.#rest();
    this.#stage = "judging";
    this.#tell();
    const ledger = await readLedger(join(order.directory, "ledger.jsonl"));
    return writeJournal({
      order,
      prepared,
      start,
      status: this.#aborted?.status ?? "completed",
      aborted: this.#aborted?.reason ?? "",
      before,
      after,
      runs: method.runs,
      rollbacks,
      evidence: {
        requests: ledger.requests,
        jobs: ledger.jobs,
        faults: method.faults,
        rest: present(this.#watch, "the watch").rest,
        ...(attempts === undefined ? {} : { attempts }),
        ingresses: prepared.members.filter(({ role }) => role === "ingress").length,
        refused: method.refused,
        deviations: this.#deviations,
        calmUntilUs: prepared.plan.steps[0]?.atUs ?? 0,
        endedUs: unixUs() - this.#beganUs,
      },
      samples: this.#samples,
      memory: memory.members,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  readonly say = (line: string): void => this.#world.report({ type: "said", line });

  async #begin(): Promise<{ order: DrillOrder; prepared: Prepared; load: LoadProcess }> {
    const { bus, signal } = this.#world;
    const order = this.#order;
    const prepared = await prepareDrill(order, this.#monkey, unixUs());
    const roleOf = new Map(prepared.members.map(({ id, role }) => [id, role]));
    this.#watch = this.#resources.use(new Watch({ bus, urls: order.urls, roleOf }));
    const { load: wanted } = order.drill;
    this.say("asking every question once, for the reference answers");
    const load = this.#resources.use(
      new LoadProcess(
        {
          urls: order.urls,
          keys: order.keys,
          seed: order.seed,
          requestsPerSecond: wanted.requestsPerSecond,
          durationUs: order.durationUs,
          warmUpUs: wanted.warmUpUs,
          mix: wanted.mix,
          poison: wanted.poison,
          jobs: wanted.jobs,
          ledgerFile: join(order.directory, "ledger.jsonl"),
        },
        (progress) => this.#progressed(progress),
      ),
    );
    await load.ready.catch((error: unknown) => {
      const { message } = error as Error;
      throw new DrillError(message, "see `millrace model list` and `millrace status`");
    });
    const interrupt = (): void => this.#abort("interrupted", "interrupted");
    signal.addEventListener("abort", interrupt, { once: true });
    return { order, prepared, load };
  }

  #startMethod({ plan }: Prepared, load: LoadProcess): Method {
    this.#method = new Method({
      drill: this.#order.drill,
      plan,
      monkey: this.#monkey,
      watch: present(this.#watch, "the watch"),
      load,
      beganUs: this.#beganUs,
      probe: (index) => this.#probeStep(index),
      say: this.say,
      signal: this.#aborting.signal,
    });
    return this.#method;
  }

  get #nowUs(): number {
    return unixUs() - this.#beganUs;
  }

  /** Returns at that time of the load, or when the drill is aborted. */
  async #until(atUs: number): Promise<void> {
    const waitMs = (atUs - this.#nowUs) / 1000;
    if (waitMs <= 0) return;
    await sleep(waitMs, undefined, { signal: this.#aborting.signal }).catch(() => undefined);
  }

  #progressed({ ended, open, jobsEnded }: Progress): void {
    const isOverload = this.#order.drill.objectives.overload !== undefined;
    this.#recent.add(ended, this.#nowUs, isOverload ? [{ fromUs: 0, toUs: Infinity }] : []);
    this.#open = open;
    this.#jobsEnded = jobsEnded;
  }

  #sampling(): Disposable {
    const timer = setInterval(() => {
      this.#samples.push(present(this.#watch, "the watch").sample(this.#nowUs, this.#open));
      this.#tell();
      // A drill that only calms down hurts no more than it has.
      if (this.#stage !== "running" || this.#aborted !== undefined) return;
      const broken = brokenGuard(this.#order.drill.guards, this.#read);
      if (broken === undefined) return;
      this.#deviations.push(broken);
      this.#abort("aborted", broken);
    }, SAMPLE_MS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  readonly #read = (metric: Metric, windowUs: number): number | undefined => {
    const sample = this.#samples.at(-1);
    switch (metric) {
      case "availability":
        return this.#recent.availability(windowUs, this.#nowUs);
      case "p99-ms":
        return this.#recent.p99Ms(windowUs, this.#nowUs);
      case "healthy-workers":
        return sample?.healthyWorkers;
      case "healthy-schedulers":
        return sample?.healthySchedulers;
      case "queued-rows":
        return sample?.queuedRows;
      case "open-requests":
        return this.#open;
    }
  };

  #abort(status: JournalStatus, reason: string): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = { status, reason };
    this.say(`ending the drill: ${reason}`);
    this.#aborting.abort();
    void this.#monkey.abort(reason);
  }

  #steadyState(when: "before" | "after"): SteadyState | null {
    const { hypothesis } = this.#order.drill;
    if (hypothesis === undefined) return null;
    const probes = hypothesis.probes.map((probe) => {
      const value = this.#read(probe.metric, probe.windowUs) ?? null;
      const met = value !== null && inside(value, probe.tolerance);
      if (!met) this.#deviations.push(deviation(probe, value, when));
      return { name: probe.name, value, tolerance_met: met };
    });
    return { steady_state_met: probes.every((probe) => probe.tolerance_met), probes };
  }

  #probeStep(index: number): ActivityRun {
    const probe = this.#order.drill.method[index] as Probe;
    const at = new Date().toISOString();
    const value = this.#read(probe.metric, probe.windowUs) ?? null;
    const met = value !== null && inside(value, probe.tolerance);
    if (!met) this.#deviations.push(deviation(probe, value, "in the method"));
    return {
      activity: { type: "probe", name: probe.name },
      status: met ? "succeeded" : "failed",
      start: at,
      end: at,
      duration: 0,
      output: value,
    };
  }

  /** Whatever the file says, everything is healed at the end. */
  async #rollBack(): Promise<readonly ActivityRun[]> {
    const start = new Date();
    const healed = await this.#monkey.abort(OVER);
    const end = new Date();
    const names = this.#order.drill.rollbacks.map(({ name }) => name);
    return (names.length === 0 ? ["heal everything"] : names).map((name) => ({
      activity: { type: "action", name },
      status: healed.ok ? "succeeded" : "failed",
      start: start.toISOString(),
      end: end.toISOString(),
      duration: (end.getTime() - start.getTime()) / 1000,
      output: healed.ok ? (healed.value.healed ?? []) : healed.error.message,
    }));
  }

  /** What the members hold has to go, and who was hit has to be back. */
  async #rest(): Promise<void> {
    const watch = present(this.#watch, "the watch");
    const lastAtMs = performance.now() + REST_MS_MAX;
    while (performance.now() < lastAtMs) {
      await sleep(SAMPLE_MS);
      if (watch.allBack && watch.rest.every(({ value }) => value === 0)) return;
    }
  }

  #tell(): void {
    if (this.#stage !== "judging" && performance.now() - this.#stateAtMs < STATE_MS) return;
    this.#stateAtMs = performance.now();
    const atUs = this.#nowUs;
    const state: DrillState = {
      stage: this.#stage,
      atUs,
      ended: this.#recent.ended,
      failed: this.#recent.failed,
      open: this.#open,
      jobsEnded: this.#jobsEnded,
      p99Ms: this.#recent.p99Ms(10_000_000, atUs),
      healthyWorkers: this.#samples.at(-1)?.healthyWorkers ?? 0,
      faults: this.#method?.active ?? [],
    };
    this.#world.report({ type: "state", state });
  }
}

const deviation = (probe: Probe, value: number | null, when: string): string =>
  `${probe.name} was ${value ?? "not to be had"} ${when}: ` +
  `expected ${probe.tolerance.min} to ${probe.tolerance.max}`;
