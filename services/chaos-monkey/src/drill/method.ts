/** Carries out the method of a drill: each step at its planned time, each fault to its end. */

import { setTimeout as sleep } from "node:timers/promises";
import {
  type Action,
  type ActivityRun,
  describeTargets,
  type Drill,
  type DrillPlan,
  type InjectedFault,
  type PlannedStep,
} from "@millrace/drills";
import type { ChaosEvent, FaultRecord, FaultSpec } from "@millrace/protocol";
import { ok, present, type Result } from "@millrace/std";
import type { MonkeyLink, Said } from "./monkey-link.ts";
import type { Watch } from "./watch.ts";

export interface MethodWorld {
  readonly drill: Drill;
  readonly plan: DrillPlan;
  readonly monkey: MonkeyLink;
  readonly watch: Watch;
  readonly load: { setFactor(value: number): void; setPoison(value: number): void };
  /** Unix microseconds of the load's time 0. */
  readonly beganUs: number;
  readonly probe: (index: number) => ActivityRun;
  readonly say: (line: string) => void;
  /** Ends the method: no further step is begun. */
  readonly signal: AbortSignal;
}

/** One fault from its injection on. Times are Unix microseconds. */
interface Following {
  /** The step's, or the kind where no step asked for it. */
  name: string;
  readonly record: FaultRecord;
  readonly idle: readonly string[];
  readonly over: Promise<void>;
  readonly settle: (endedUs: number, end: string) => void;
  endedUs: number | undefined;
  end: string;
  acted: number | undefined;
}

const POLL_MS = 250;
/** Past the time that the monkey gave a fault, for its healing and the way of the news. */
const OVERDUE_US = 20_000_000;
/** Two clocks of one machine, and what they are rounded to. */
const CLOCK_US = 50_000;

const unixUs = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

export class Method {
  readonly #world: MethodWorld;
  readonly #following = new Map<string, Following>();
  readonly runs: ActivityRun[] = [];
  /** Planned and not done, with the reason. */
  readonly refused: string[] = [];

  constructor(world: MethodWorld) {
    this.#world = world;
  }

  /** Names of the faults that last. */
  get active(): readonly string[] {
    return [...this.#following.values()]
      .filter(({ endedUs }) => endedUs === undefined)
      .map(({ record: { kind, targets } }) => [kind, ...targets].join(" "));
  }

  /** From the monkey's journal. What it draws by itself, and no step asked for, counts too. */
  heard({ acted, atUs, end = "healed", event, fault }: ChaosEvent): void {
    if (fault === undefined) return;
    if (event === "injected" && !this.#following.has(fault.id)) this.#follow(fault.kind, fault);
    const following = this.#following.get(fault.id);
    if (event !== "ended" || following === undefined) return;
    following.acted = acted;
    following.settle(atUs, end);
  }

  /** Resolves when every step is done and every fault is over. */
  async run(): Promise<void> {
    const { plan, drill, beganUs, signal } = this.#world;
    for (const step of plan.steps) {
      const waitMs = (beganUs + step.atUs - unixUs()) / 1000;
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      const activity = present(drill.method[step.index], "the step's activity");
      if (activity.type === "probe") {
        this.runs.push(this.#world.probe(step.index));
        continue;
      }
      const begun = await this.#act(step, activity);
      if (!activity.background) await Promise.all(begun.map(({ over }) => over));
    }
    await Promise.all([...this.#following.values()].map(({ over }) => over));
  }

  /** What was injected, in the ledger's time. */
  get faults(): readonly InjectedFault[] {
    const { beganUs, watch } = this.#world;
    const since = (us: number | undefined): number | undefined =>
      us === undefined ? undefined : Math.max(0, us - beganUs);
    return [...this.#following.values()].map(({ acted, end, idle, name, record, ...fault }) => {
      const { id, kind, targets, injectedAtUs, endsAtUs } = record;
      const { detectedUs, returnedUs } = watch.seen(id);
      const endedUs = (fault.endedUs ?? endsAtUs) - beganUs;
      return {
        name,
        kind,
        targets,
        idle,
        acted,
        injectedUs: Math.max(0, injectedAtUs - beganUs),
        endedUs,
        end,
        detectedUs: since(detectedUs),
        returnedUs: targets.length === 0 ? endedUs : since(returnedUs),
      };
    });
  }

  async #act(step: PlannedStep, action: Action): Promise<readonly Following[]> {
    const startedUs = unixUs();
    const { what, name } = action;
    const { monkey, say, signal } = this.#world;
    if (what.act === "abort") {
      const healed = await monkey.abort(name);
      this.#ran(name, startedUs, healed.ok, healed.ok ? healed.value.healed : healed.error.message);
      return [];
    }
    if (what.act === "load") {
      say(`${name}: ${what.fault.kind} by the load`);
      this.#ran(name, startedUs, true, what.fault);
      return [this.#loadFault(step, action)];
    }
    const begun: Following[] = [];
    for (const spec of specsOf(what.fault, this.#targetsOf(step, what.fault))) {
      if (signal.aborted) break;
      const injected = await this.#inject(spec, step);
      if (injected.ok) {
        const following = this.#follow(name, injected.value);
        const { targets } = following.record;
        say(`${name}: ${spec.kind} of ${describeTargets({ targets, idle: following.idle })}`);
        begun.push(following);
      } else {
        const reason = `${injected.error.message} (${injected.error.code})`;
        say(`${name}: not injected: ${reason}`);
        this.refused.push(`${name}: ${reason}`);
      }
    }
    const hit = begun.flatMap(({ record }) => record.targets);
    this.#ran(name, startedUs, begun.length > 0, begun.length > 0 ? hit : this.refused.at(-1));
    return begun;
  }

  /**
   * Who was drawn and has nothing to do gives way to another of its role that has: a fault that
   * nobody feels proves nothing. The draw itself cannot know where the models will be.
   */
  #targetsOf({ targets }: PlannedStep, { target }: FaultSpec): readonly string[] {
    if (!("count" in target)) return targets;
    const { watch } = this.#world;
    const running = [...this.#following.values()].filter(({ endedUs }) => endedUs === undefined);
    const taken = new Set([...targets, ...running.flatMap(({ record }) => record.targets)]);
    return targets.map((id) => {
      if (watch.idle([id], unixUs()).length === 0) return id;
      const mate = watch.mateAtWork(id, taken) ?? id;
      taken.add(mate);
      return mate;
    });
  }

  /** The reply of a fault that hits NATS may be lost with it: then it is asked what runs. */
  async #inject(spec: FaultSpec, step: PlannedStep): Promise<Result<FaultRecord, Said>> {
    const { monkey, watch, drill, plan } = this.#world;
    const askedUs = unixUs();
    const injected = await monkey.inject(spec, drill.blast, plan.seed);
    if (injected.ok || injected.error.code !== "DISCONNECTED") return injected;
    const isIt = ({ kind, injectedAtUs }: FaultRecord): boolean =>
      kind === spec.kind && injectedAtUs >= askedUs - CLOCK_US;
    const heard = [...this.#following.values()].find(({ record }) => isIt(record));
    if (heard !== undefined) return ok(heard.record);
    const status = await monkey.status();
    const found = (status.ok ? (status.value.faults ?? []) : []).find(isIt);
    if (found !== undefined) return ok(found);
    // It is over by now; that the connection broke is what is left to know of it.
    if (watch.disconnectedUs < askedUs) return injected;
    return ok({
      id: `lost-${step.index}`,
      kind: spec.kind,
      targets: [...step.targets],
      injectedAtUs: watch.disconnectedUs,
      endsAtUs: Math.max(watch.disconnectedUs, Math.min(unixUs(), askedUs + spec.durationUs)),
    });
  }

  #loadFault(step: PlannedStep, { what, name }: Action): Following {
    const { load, drill, signal } = this.#world;
    const { fault } = what as Extract<Action["what"], { act: "load" }>;
    const following = this.#begin(name, {
      id: `load-${step.index}`,
      kind: fault.kind,
      targets: [],
      injectedAtUs: unixUs(),
      endsAtUs: unixUs() + fault.durationUs,
    });
    if (fault.kind === "thundering-herd") load.setFactor(fault.factor);
    else load.setPoison(fault.share);
    const undo = (): void => {
      if (fault.kind === "thundering-herd") load.setFactor(1);
      else load.setPoison(drill.load.poison);
      following.settle(unixUs(), "expired");
    };
    void sleep(fault.durationUs / 1000, undefined, { signal }).then(undo, undo);
    return following;
  }

  /** The news of an end may be lost with the broker, so it is asked for as well. */
  #follow(name: string, record: FaultRecord): Following {
    const heard = this.#following.get(record.id);
    if (heard !== undefined) {
      heard.name = name;
      return heard;
    }
    const following = this.#begin(name, record);
    void this.#pollEnd(following);
    return following;
  }

  #begin(name: string, record: FaultRecord): Following {
    const { watch } = this.#world;
    const { promise, resolve } = Promise.withResolvers<void>();
    const following: Following = {
      name,
      record,
      idle: watch.idle(record.targets, record.injectedAtUs),
      over: promise,
      settle: (endedUs, end) => {
        if (following.endedUs !== undefined) return;
        following.endedUs = endedUs;
        following.end = end;
        watch.ended(record.id, endedUs);
        resolve();
      },
      endedUs: undefined,
      end: "expired",
      acted: undefined,
    };
    this.#following.set(record.id, following);
    watch.follow(record.id, record.targets, record.injectedAtUs);
    return following;
  }

  async #pollEnd(following: Following): Promise<void> {
    const { monkey } = this.#world;
    const { id, endsAtUs } = following.record;
    while (following.endedUs === undefined) {
      await sleep(Math.max(POLL_MS, (endsAtUs - unixUs()) / 1000));
      if (following.endedUs !== undefined) return;
      const status = await monkey.status();
      const lasts = status.ok && status.value.faults?.some((fault) => fault.id === id);
      if (status.ok && lasts !== true) following.settle(unixUs(), "expired");
      if (unixUs() > endsAtUs + OVERDUE_US) {
        this.refused.push(`${following.name}: its end was never reported`);
        following.settle(unixUs(), "expired");
      }
    }
  }

  #ran(name: string, startedUs: number, succeeded: boolean, output: unknown): void {
    const endedUs = unixUs();
    this.runs.push({
      activity: { type: "action", name },
      status: succeeded ? "succeeded" : "failed",
      start: new Date(startedUs / 1000).toISOString(),
      end: new Date(endedUs / 1000).toISOString(),
      duration: (endedUs - startedUs) / 1e6,
      output: output ?? null,
    });
  }
}

/** A seeded choice is made by the plan, one fault for each of the chosen. */
function specsOf(spec: FaultSpec, targets: readonly string[]): readonly FaultSpec[] {
  const { target } = spec;
  return "count" in target ? targets.map((id) => ({ ...spec, target: { id } })) : [spec];
}
