/**
 * How each kind of fault is made in a container: the commands that begin it and those that undo it.
 * `docker kill` is not used: a container that was killed by it is not restarted, one whose process
 * died is.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { FaultError, type FaultKind, type FaultSpec } from "@millrace/protocol";
import * as v from "valibot";

const COMMAND_MS = 20_000;

export const inspectedSchema = v.array(
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
export type Inspected = v.InferOutput<typeof inspectedSchema>[number];

export type Command = readonly [command: string, ...args: readonly string[]];

/** What is run, and what undoes it. */
export interface Steps {
  readonly begin: readonly Command[];
  readonly undo: readonly Command[];
  /** Asks how often it has acted so far, where that is counted. */
  readonly count?: () => Promise<number>;
}

export const run = async ([command, ...args]: Command): Promise<string> =>
  (await promisify(execFile)(command, args, { timeout: COMMAND_MS })).stdout;

type Inside = (...args: readonly string[]) => Command;

interface Kind {
  /** What it needs on this machine. */
  readonly tools: readonly string[];
  /** What it needs of the kernel, and what fails without it. */
  readonly kernel?: { readonly has: string; readonly probe: Command };
  readonly steps: (spec: FaultSpec, container: Inspected, port: number) => Steps;
}

/** A kind that is not here is not made in containers. */
export const DOCKER_FAULTS: Partial<Readonly<Record<FaultKind, Kind>>> = {
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
