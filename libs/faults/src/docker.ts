/**
 * The containers of a compose project as a world of faults, through the `docker` command, and
 * through the containers' network namespaces where this machine lets us in. `docker kill` is not
 * used: a container that was killed by it is not restarted, one whose process died is.
 */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
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

const COMMAND_MS = 20_000;
const BROKER_PORT = 4222;
const PROJECT = "com.docker.compose.project";
const SERVICE = "com.docker.compose.service";
/** Of a container that was run by hand for once. */
const ONCE = "com.docker.compose.oneoff";
const ROLES = ["ingress", "scheduler", ...WORKER_ROLES, "forecaster", "nats"] as const;
const ID = "MILLRACE_ID=";

const inspectedSchema = v.array(
  v.object({
    Id: v.string(),
    Name: v.string(),
    State: v.object({ Running: v.boolean(), Pid: v.number() }),
    Config: v.object({
      Labels: v.record(v.string(), v.string()),
      Env: v.nullish(v.array(v.string())),
    }),
    NetworkSettings: v.object({
      Networks: v.record(v.string(), v.object({ Aliases: v.nullish(v.array(v.string())) })),
    }),
  }),
);
type Inspected = v.InferOutput<typeof inspectedSchema>[number];

type Command = readonly [command: string, ...args: readonly string[]];

/** What is run, and what undoes it. */
interface Steps {
  readonly begin: readonly Command[];
  readonly undo: readonly Command[];
  /** Asks how often it has acted so far, where that is counted. */
  readonly count?: () => Promise<number>;
}

const run = async ([command, ...args]: Command): Promise<string> =>
  (await promisify(execFile)(command, args, { timeout: COMMAND_MS })).stdout;

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
    const made = KINDS[kind];
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
    const kind = present(KINDS[spec.kind], spec.kind);
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

type Inside = (...args: readonly string[]) => Command;

interface Kind {
  /** What it needs on this machine. */
  readonly tools: readonly string[];
  /** What it needs of the kernel, and what fails without it. */
  readonly kernel?: { readonly has: string; readonly probe: Command };
  readonly steps: (spec: FaultSpec, container: Inspected, port: number) => Steps;
}

/** A kind that is not here is not made in containers. */
const KINDS: Partial<Readonly<Record<FaultKind, Kind>>> = {
  kill: {
    tools: ["docker", "kill"],
    steps: ({ options }, { State }) => {
      if (options["keepDown"] === true) {
        throw new FaultError(
          "FAULT_UNAVAILABLE",
          "the engine starts it again: keepDown is not made",
        );
      }
      return { begin: [["kill", "-KILL", String(State.Pid)]], undo: [] };
    },
  },
  restart: {
    tools: ["docker", "kill"],
    // `docker restart` returns when all is over, and kills what drains longer than it waits.
    steps: (_spec, { State }) => ({ begin: [["kill", "-TERM", String(State.Pid)]], undo: [] }),
  },
  pause: {
    tools: ["docker"],
    steps: (_spec, { Id }) => ({
      begin: [["docker", "pause", Id]],
      undo: [
        undoing(
          ["docker", "unpause", Id],
          `docker inspect -f '{{.State.Paused}}' ${Id} | grep -qx true`,
        ),
      ],
    }),
  },
  partition: {
    tools: ["docker"],
    steps: (_spec, container) => partition(container),
  },
  blackhole: {
    tools: ["docker", "nsenter", "iptables"],
    steps: (spec, container, port) =>
      blackhole(String(spec.options["direction"]), insideOf(container), port),
  },
  latency: {
    tools: ["docker", "nsenter", "tc", "unshare"],
    kernel: {
      has: "netem",
      probe: ["unshare", "-n", "tc", ..."qdisc add dev lo root netem delay 1us".split(" ")],
    },
    steps: ({ options }, container) => {
      const inside = insideOf(container);
      const { delayUs, jitterUs } = options;
      const delay = ["netem", "delay", `${Number(delayUs)}us`, `${Number(jitterUs)}us`];
      // One for each network, of which one leads to the broker.
      const networks = Object.keys(container.NetworkSettings.Networks);
      const devices = networks.map((_, at) => ["dev", `eth${at}`]);
      return {
        begin: devices.map((device) => inside("tc", "qdisc", "add", ...device, "root", ...delay)),
        undo: devices.map((device) =>
          undoing(
            inside("tc", "qdisc", "del", ...device, "root"),
            `${quoted(inside("tc", "qdisc", "show", ...device))} | grep -q netem`,
          ),
        ),
      };
    },
  },
};

/** Off every network of its own, and back under the names that others know it by. */
function partition({ Id, NetworkSettings }: Inspected): Steps {
  const networks = Object.entries(NetworkSettings.Networks);
  return {
    begin: networks.map(([name]) => ["docker", "network", "disconnect", name, Id]),
    undo: networks.map(([name, { Aliases }]) => {
      const names = (Aliases ?? []).filter((alias) => !Id.startsWith(alias));
      const flags = names.flatMap((alias) => ["--alias", alias]);
      return ["sh", "-c", REJOIN, name, Id, ...flags];
    }),
  };
}

/** Fails, to be tried again, unless the container is on the network, or is no more. */
const REJOIN = `
container=$1
shift
docker network connect "$@" "$0" "$container" && exit
docker inspect "$container" >/dev/null 2>&1 || exit 0
docker inspect -f '{{range $name, $at := .NetworkSettings.Networks}}{{println $name}}{{end}}' \
  "$container" | grep -qxF "$0"
`;

const insideOf =
  ({ State }: Inspected): Inside =>
  (...args) => ["nsenter", "-t", String(State.Pid), "-n", ...args];

/** Packets of the broker's port that come in (`to`), that go out (`from`), or both. */
function blackhole(direction: string, inside: Inside, port: number): Steps {
  const rules = [
    ...(direction === "from" ? [] : [["INPUT", "--sport"] as const]),
    ...(direction === "to" ? [] : [["OUTPUT", "--dport"] as const]),
  ].map(([chain, side]) => [chain, "-p", "tcp", side, String(port), "-j", "DROP"] as const);
  return {
    begin: rules.map((rule) => inside("iptables", "-I", ...rule)),
    undo: rules.map((rule) =>
      undoing(inside("iptables", "-D", ...rule), quoted(inside("iptables", "-C", ...rule))),
    ),
    count: async () => packetsDropped(await run(inside("iptables", "-nvxL")), port),
  };
}

/** Of a list of rules, which begin with their packets. */
export const packetsDropped = (list: string, port: number): number =>
  list
    .split("\n")
    .filter((line) => / DROP /.test(line) && new RegExp(`:${port}\\b`).test(line))
    .reduce((sum, line) => sum + Number.parseInt(line, 10), 0);

/**
 * Done twice, or where nothing was begun, it fails, and nothing is wrong; but it is to be tried
 * again where what it undoes is `still` there.
 */
const undoing = (command: Command, still: string): Command => [
  "sh",
  "-c",
  `${quoted(command)} || ! { ${still}; }`,
];

const quoted = (command: Command): string =>
  command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
