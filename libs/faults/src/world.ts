/**
 * The processes of a cluster on this machine as a world of faults. How a fault is undone is with
 * the healer before the fault begins, so it ends even when this process does.
 */

import { randomBytes } from "node:crypto";
import type { Bus } from "@millrace/bus";
import {
  type Fault,
  fault,
  faultEntry,
  FaultError,
  type FaultKind,
  type FaultSpec,
} from "@millrace/protocol";
import { fail, type Log, ok, type Result, seededRandom } from "@millrace/std";
import { followFault } from "./follow.ts";
import { type Ground, type GroundMember, readGround } from "./ground.ts";
import type { BrokerAccess } from "./healer/actions.ts";
import { type Healed, Healer } from "./healer/healer.ts";
import { corruptBlob } from "./injections/blob.ts";
import { revokeCredentials } from "./injections/credentials.ts";
import { blockLogs, inMembers } from "./injections/hook.ts";
import type { Injection, InjectionContext } from "./injections/injection.ts";
import { NO_PROXY, onLink } from "./injections/network.ts";
import { kill, pause, restart, slowCpu } from "./injections/process.ts";
import { corruptCache, fillDisk } from "./injections/storage.ts";
import { isAlive, markOf } from "./processes.ts";
import { unixUs } from "./time.ts";
import type { ActiveFault, FaultMember, FaultWorld } from "./types.ts";

export interface LocalWorldOptions {
  /** Of the supervisor: what it has started. */
  readonly groundFile: string;
  readonly bus: Bus;
  /** For the healer, which has a connection of its own. */
  readonly access: BrokerAccess;
  readonly log: Log;
  /** Of the chances that faults take. Default 0. */
  readonly seed?: number;
}

const ACTIVE_MAX = 64;
/** Each of them writes the broker's configuration; a second would undo the first. */
const CONFIGURING: readonly FaultKind[] = ["disk-full", "revoke-credentials"];

export class LocalWorld implements FaultWorld {
  readonly #options: LocalWorldOptions;
  readonly #healer = new Healer();
  readonly #active = new Map<string, ActiveFault>();
  readonly #random: ReturnType<typeof seededRandom>;
  #count = 0;

  constructor(options: LocalWorldOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 0);
  }

  members(): Promise<readonly FaultMember[]> {
    const { members } = readGround(this.#options.groundFile);
    return Promise.resolve(members.map(toMember));
  }

  missing(kind: FaultKind): Promise<string | undefined> {
    return Promise.resolve(whatIsMissing(kind, readGround(this.#options.groundFile)));
  }

  async inject(spec: FaultSpec, ids: readonly string[]): Promise<Result<ActiveFault, Fault>> {
    try {
      return ok(await this.#inject(spec, ids));
    } catch (error) {
      if (error instanceof FaultError) return fail(error.fault);
      return fail(fault("FAULT_FAILED", `${spec.kind}: ${String(error)}`));
    }
  }

  /** Heals everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#active.values()].map((active) => active.heal()));
    await this.#healer[Symbol.asyncDispose]();
  }

  async #inject(spec: FaultSpec, ids: readonly string[]): Promise<ActiveFault> {
    const { groundFile, bus, access } = this.#options;
    const ground = readGround(groundFile);
    const missing = whatIsMissing(spec.kind, ground);
    if (missing !== undefined) throw new FaultError("FAULT_UNAVAILABLE", missing);
    this.#checkActive(spec.kind);
    const targets = ground.members.filter(({ id }) => ids.includes(id)).filter(isRunning);
    if (targets.length === 0) {
      throw new FaultError("FAULT_NO_TARGET", `of ${ids.join(", ")} none runs`);
    }
    const id = `${spec.kind}-${++this.#count}-${randomBytes(3).toString("hex")}`;
    const seed = this.#random.below(2 ** 31);
    const context = { id, spec, targets, ground, groundFile, bus, access, seed };
    const injection = await prepare(context);
    const { healed } = await this.#healer.hold(id, injection.undo, spec.durationUs);
    const injectedAtUs = unixUs();
    try {
      await injection.begin();
    } catch (error) {
      this.#healer.heal(id);
      await healed;
      throw error;
    }
    if (injection.throttle !== undefined) this.#healer.throttle(id, injection.throttle);
    const active = this.#follow(id, context, injection, injectedAtUs, healed);
    this.#active.set(id, active);
    void active.ended.then(() => this.#active.delete(id));
    return active;
  }

  #checkActive(kind: FaultKind): void {
    if (this.#active.size >= ACTIVE_MAX) {
      throw new FaultError("FAULT_BLAST_RADIUS", `${ACTIVE_MAX} faults are under way`); // I6
    }
    const configuring = [...this.#active.values()].find((one) => CONFIGURING.includes(one.kind));
    if (configuring === undefined || !CONFIGURING.includes(kind)) return;
    const message = `${configuring.id} has changed the broker's configuration already`;
    throw new FaultError("FAULT_UNAVAILABLE", message);
  }

  #follow(
    id: string,
    { spec, targets }: InjectionContext,
    { acted, repeat, atEnd, watched }: Injection,
    injectedAtUs: number,
    healed: Promise<Healed>,
  ): ActiveFault {
    return followFault({
      id,
      spec,
      targets: targets.map((target) => target.id),
      injectedAtUs,
      healed,
      healer: this.#healer,
      ...(acted === undefined ? {} : { acted }),
      ...(repeat === undefined ? {} : { repeat }),
      ...(watched === undefined ? {} : { isGone: () => !watched.some(isAlive) }),
      onEnd: ({ by, errors }, end) => {
        if (end === "expired") atEnd?.();
        const { log } = this.#options;
        if (errors.length > 0) log.error({ fault: id, errors }, "a fault could not be undone");
        if (by === "healer-lost") log.error({ fault: id }, "the healer was lost; healed here");
      },
    });
  }
}

const isRunning = (member: GroundMember): boolean =>
  member.process !== undefined && isAlive(member.process);

function toMember(member: GroundMember): FaultMember {
  const { id, role, process, zone } = member;
  return {
    id,
    role,
    ...(process !== undefined && isAlive(process) ? { pid: process.pid } : {}),
    ...(zone === undefined ? {} : { zone }),
  };
}

function whatIsMissing(kind: FaultKind, ground: Ground): string | undefined {
  const entry = faultEntry(kind);
  if (entry.elsewhere === true) return `${kind} is made by the load of a drill`;
  if (kind === "partition") return "only a container has a network of its own to be taken off";
  if (markOf(process.pid) === undefined) return "this machine has no /proc: no process is known";
  const linked = entry.family === "network" || entry.family === "message";
  if (linked && ground.proxySettingsFile === undefined) return NO_PROXY;
  const configurable = ground.members.some(({ configFile }) => configFile !== undefined);
  if (CONFIGURING.includes(kind) && !configurable) return "the broker is not ours";
  return undefined;
}

function prepare(context: InjectionContext): Injection | Promise<Injection> {
  const { kind, options } = context.spec;
  switch (kind) {
    case "kill":
      return kill(context, options["keepDown"] === true);
    case "all-workers-gone":
      return kill(context, true);
    case "pause":
      return pause(context);
    case "restart":
      return restart(context);
    case "slow-cpu":
      return slowCpu(context);
    case "disk-full":
      return fillDisk(context);
    case "corrupt-blob":
      return corruptBlob(context);
    case "corrupt-cache":
      return corruptCache(context);
    case "gpu-lost":
    case "gpu-oom":
    case "clock-skew":
    case "spot-notice":
      return inMembers(context, kind);
    case "revoke-credentials":
      return revokeCredentials(context);
    case "log-sink-blocked":
      return blockLogs(context);
    case "latency":
    case "loss":
    case "blackhole":
    case "reset":
    case "half-open":
    case "slow-link":
    case "slow-consumer":
    case "duplicate":
    case "reorder":
      return onLink(context, kind);
    case "partition":
    case "poison-input":
    case "thundering-herd":
      throw new FaultError("FAULT_UNAVAILABLE", `${kind} is not made here`);
  }
}
