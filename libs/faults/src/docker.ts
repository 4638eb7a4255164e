/**
 * The containers of a compose project as a world of faults, through the `docker` command, and
 * through the containers' network namespaces where this machine lets us in.
 */

import { randomBytes } from "node:crypto";
import {
  type Fault,
  fault,
  FaultError,
  type FaultKind,
  type FaultSpec,
  WORKER_ROLES,
} from "@millrace/protocol";
import { fail, ok, present, type Result } from "@millrace/std";
import * as v from "valibot";
import {
  type Command,
  DOCKER_FAULTS,
  type Inspected,
  inspectedSchema,
  run,
  type Steps,
} from "./docker-faults.ts";
import type { HealAction } from "./healer/actions.ts";
import { Healer } from "./healer/healer.ts";
import { type Followed, followFault } from "./follow.ts";
import type { ActiveFault, FaultMember, FaultWorld } from "./types.ts";
import { unixUs } from "./time.ts";

export interface DockerWorldOptions {
  /** As `docker compose --project-name` has it: nothing else is ever hit. */
  readonly project: string;
  /** Of the broker, as the containers dial it. Default 4222. */
  readonly brokerPort?: number;
}

const BROKER_PORT = 4222;
const PROJECT = "com.docker.compose.project";
const SERVICE = "com.docker.compose.service";
/** Of a container that was run by hand for once. */
const ONCE = "com.docker.compose.oneoff";
const ROLES = ["ingress", "scheduler", ...WORKER_ROLES, "forecaster", "nats"] as const;
const ID = "MILLRACE_ID=";

const succeeds = (command: Command): Promise<boolean> =>
  run(command).then(
    () => true,
    () => false,
  );

export class DockerWorld implements FaultWorld {
  readonly #options: DockerWorldOptions;
  readonly #healer = new Healer();
  readonly #active = new Map<string, ActiveFault>();
  #count = 0;

  constructor(options: DockerWorldOptions) {
    this.#options = options;
  }

  async members(): Promise<readonly FaultMember[]> {
    return (await this.#containers()).map((container) => ({
      id: idOf(container),
      role: roleOf(container),
      container: container.Id,
    }));
  }

  async missing(kind: FaultKind): Promise<string | undefined> {
    const made = DOCKER_FAULTS[kind];
    if (made === undefined) return `${kind} is not made in containers`;
    const { tools, kernel } = made;
    for (const tool of tools) {
      const there = await succeeds(["sh", "-c", `command -v ${tool}`]);
      if (!there) return `${kind} in a container needs ${tool}, which is not here`;
    }
    const root = process.getuid?.() === 0;
    if (tools.includes("nsenter") && !root) return `${kind} in a container needs root`;
    if (kernel === undefined || (await succeeds(kernel.probe))) return undefined;
    return `${kind} in a container needs ${kernel.has}, which this kernel has not`;
  }

  async inject(spec: FaultSpec, ids: readonly string[]): Promise<Result<ActiveFault, Fault>> {
    try {
      return ok(await this.#inject(spec, ids));
    } catch (error) {
      if (error instanceof FaultError) return fail(error.fault);
      return fail(fault("FAULT_FAILED", `${spec.kind}: ${String(error)}`));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#active.values()].map((active) => active.heal()));
    await this.#healer[Symbol.asyncDispose]();
  }

  async #inject(spec: FaultSpec, ids: readonly string[]): Promise<ActiveFault> {
    const missing = await this.missing(spec.kind);
    if (missing !== undefined) throw new FaultError("FAULT_UNAVAILABLE", missing);
    const containers = (await this.#containers()).filter((one) => ids.includes(idOf(one)));
    if (containers.length === 0)
      throw new FaultError("FAULT_NO_TARGET", `none of ${ids.join(", ")} runs`);
    const port = this.#options.brokerPort ?? BROKER_PORT;
    const kind = present(DOCKER_FAULTS[spec.kind], spec.kind);
    const steps = containers.map((container) => kind.steps(spec, container, port));
    const undo: readonly HealAction[] = steps
      .flatMap((step) => step.undo)
      .map(([command, ...args]) => ({ type: "command", command, args }));
    const id = `${spec.kind}-${++this.#count}-${randomBytes(3).toString("hex")}`;
    const { healed } = await this.#healer.hold(id, undo, spec.durationUs);
    const injectedAtUs = unixUs();
    try {
      for (const command of steps.flatMap(({ begin }) => begin)) await run(command);
    } catch (error) {
      this.#healer.heal(id);
      await healed;
      throw error;
    }
    const targets = containers.map(idOf);
    const active = followFault({
      id,
      spec,
      targets,
      injectedAtUs,
      healed,
      healer: this.#healer,
      ...countingOf(steps),
    });
    this.#active.set(id, active);
    void active.ended.then(() => this.#active.delete(id));
    return active;
  }

  async #containers(): Promise<readonly Inspected[]> {
    const label = `label=${PROJECT}=${this.#options.project}`;
    const ids = (await run(["docker", "ps", "--quiet", "--filter", label]))
      .split("\n")
      .filter(Boolean);
    if (ids.length === 0) return [];
    const found = v.parse(inspectedSchema, JSON.parse(await run(["docker", "inspect", ...ids])));
    return found.filter(
      (one) =>
        one.State.Running &&
        one.Config.Labels[ONCE] !== "True" &&
        ROLES.some((role) => role === roleOf(one)),
    );
  }
}

const COUNT_EVERY_MS = 500;

/** What is undone takes its counters along: the last that they said counts. */
function countingOf(steps: readonly Steps[]): Pick<Followed, "acted" | "repeat"> {
  const counts = steps.flatMap(({ count }) => count ?? []);
  if (counts.length === 0) return {};
  let acted = 0;
  const look = async (): Promise<void> => {
    const found = await Promise.all(counts.map((count) => count().catch(() => 0)));
    acted = Math.max(
      acted,
      found.reduce((sum, each) => sum + each, 0),
    );
  };
  return {
    acted: () => Promise.resolve(acted),
    repeat: { everyMs: COUNT_EVERY_MS, act: () => void look() },
  };
}

/** `scheduler-2` of a compose file is a scheduler. */
const roleOf = ({ Config }: Inspected): string =>
  (Config.Labels[SERVICE] ?? "").replace(/-\d+$/, "");

/** As the cluster knows it: the member's own id, which a broker does not have. */
const idOf = ({ Config }: Inspected): string =>
  Config.Env?.find((line) => line.startsWith(ID))?.slice(ID.length) ?? Config.Labels[SERVICE] ?? "";
