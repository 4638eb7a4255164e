/**
 * Workers as containers of a Docker engine, through the `docker` command: it follows the user's
 * contexts, sockets and certificates, and adds no package. (Rejected: dockerode, which brings gRPC
 * and protobuf along for the five calls that are needed.)
 *
 * All that must survive this process is in the engine: labels say what a container is, and one that
 * was told to end is renamed, so that the next process knows too.
 */

import { fail, ok } from "@millrace/std";
import { LIFECYCLES } from "@millrace/protocol";
import {
  fleetFault,
  type FleetMember,
  type FleetResult,
  type MemberState,
  type Pool,
} from "./driver.ts";
import type { InstanceHost } from "./instances.ts";
import { DRAIN_MS_MAX, memberVariables } from "./processes.ts";
import { runCommand } from "./run-command.ts";

export interface DockerTemplate {
  readonly image: string;
  /** Before the image, as `--network=millrace_bus` or `--volume=...`. */
  readonly args?: readonly string[];
  /** After the image: the container's command. */
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface DockerHostOptions {
  /** Containers of other fleets on the same engine are not seen. */
  readonly fleet: string;
  readonly templateOf: (pool: Pool) => DockerTemplate;
  /** Of the docker command itself, for contexts and sockets; this process's own where absent. */
  readonly env?: () => NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  readonly drainMsMax?: number;
}

const TIMEOUT_MS = 30_000;
const DRAINING = ".draining";
/** A worker that crashes this often in a row is gone, and the engine starts it no more. */
const CRASHES_MAX = 5;
/** Least rights: what a worker writes goes to its volumes and to /tmp. */
const CONFINED = [
  "--read-only",
  "--tmpfs=/tmp:size=64m",
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges:true",
  "--init",
];
const FORMAT = [
  "{{.Names}}",
  "{{.State}}",
  "{{.Status}}",
  ...["kind", "zone", "lifecycle"].map((name) => `{{.Label "millrace.${name}"}}`),
].join("\t");

export class DockerHost implements InstanceHost {
  readonly name = "docker";
  readonly #options: DockerHostOptions;
  /** Ends of drains that are on their way, by container. */
  readonly #kills = new Map<string, NodeJS.Timeout>();

  constructor(options: DockerHostOptions) {
    this.#options = options;
  }

  async list(): Promise<FleetResult<readonly FleetMember[]>> {
    const filter = `label=millrace.fleet=${this.#options.fleet}`;
    const listed = await this.#docker(
      "ps",
      "--all",
      "--no-trunc",
      "--filter",
      filter,
      "--format",
      FORMAT,
    );
    if (!listed.ok) return listed;
    const members: FleetMember[] = [];
    for (const line of listed.value.split("\n").filter((text) => text !== "")) {
      const member = readLine(line);
      if (!member.ok) return member;
      const { container, ended, ...described } = member.value;
      if (!container.endsWith(DRAINING)) {
        members.push(described);
      } else if (ended) {
        this.#forget(container);
        await this.#docker("rm", "--force", container);
      } else {
        // Begun here or by the process before this one: either way it is bounded.
        this.#killLater(container);
        members.push({ ...described, state: "draining" });
      }
    }
    return ok(members);
  }

  async start(id: string, pool: Pool): Promise<FleetResult<void>> {
    const { image, args = [], command = [], env = {} } = this.#options.templateOf(pool);
    const { kind, zone, lifecycle } = pool;
    const labels = { fleet: this.#options.fleet, kind, zone, lifecycle };
    const started = await this.#docker(
      "run",
      "--detach",
      "--pull=missing",
      `--name=${id}`,
      `--restart=on-failure:${CRASHES_MAX}`,
      ...CONFINED,
      ...Object.entries(labels).map(([key, value]) => `--label=millrace.${key}=${value}`),
      ...Object.entries({ ...env, ...memberVariables(id, pool) }).map(
        ([key, value]) => `--env=${key}=${value}`,
      ),
      ...args,
      image,
      ...command,
    );
    // `docker run` leaves the container that it could not start.
    if (!started.ok) await this.#docker("rm", "--force", id);
    return started.ok ? ok(undefined) : started;
  }

  async end(id: string): Promise<FleetResult<void>> {
    const container = id + DRAINING;
    const renamed = await this.#docker("rename", id, container);
    if (!renamed.ok) return isAbsent(renamed.error.message) ? ok(undefined) : renamed;
    const told = await this.#docker("kill", "--signal=SIGTERM", container);
    if (told.ok) {
      this.#killLater(container);
      return ok(undefined);
    }
    // It does not run, so there is nothing to drain.
    const removed = await this.#docker("rm", "--force", container);
    return removed.ok ? ok(undefined) : removed;
  }

  /** Containers outlive the driver; only the ends of drains that it owes are left to the next. */
  async close(): Promise<void> {
    for (const container of this.#kills.keys()) this.#forget(container);
  }

  #killLater(container: string): void {
    if (this.#kills.has(container)) return;
    const kill = (): void => void this.#docker("rm", "--force", container);
    const timer = setTimeout(kill, this.#options.drainMsMax ?? DRAIN_MS_MAX);
    this.#kills.set(container, timer.unref());
  }

  #forget(container: string): void {
    clearTimeout(this.#kills.get(container));
    this.#kills.delete(container);
  }

  async #docker(...args: readonly string[]): Promise<FleetResult<string>> {
    const { env, timeoutMs = TIMEOUT_MS } = this.#options;
    const ran = await runCommand({
      command: "docker",
      args,
      timeoutMs,
      ...(env === undefined ? {} : { env: env() }),
    });
    if (!ran.ok) return ran;
    const { code, stdout, stderr } = ran.value;
    if (code === 0) return ok(stdout);
    const reached = /cannot connect|daemon running|error during connect/i.test(stderr)
      ? "UNREACHABLE"
      : "REFUSED";
    return fail(fleetFault(reached, `docker ${args[0]}: ${stderr || `exit ${code}`}`));
  }
}

const isAbsent = (message: string): boolean => /no such container/i.test(message);

/** @returns MALFORMED for a line that no container of a fleet has. */
function readLine(
  line: string,
): FleetResult<FleetMember & { readonly container: string; readonly ended: boolean }> {
  const [container = "", state = "", status = "", kind = "", zone = "", text = ""] =
    line.split("\t");
  const lifecycle = LIFECYCLES.find((known) => known === text);
  if (lifecycle === undefined || kind === "" || zone === "") {
    const expected = "expected a container with its kind, zone and lifecycle as labels";
    return fail(fleetFault("MALFORMED", `docker ps: ${JSON.stringify(line)}: ${expected}`));
  }
  const ended = state === "exited" || state === "dead";
  const id = container.endsWith(DRAINING) ? container.slice(0, -DRAINING.length) : container;
  const member = { id, kind, zone, lifecycle, state: stateOf(state, status) };
  return ok({
    ...member,
    ...(member.state === "ready" ? {} : { detail: status }),
    container,
    ended,
  });
}

function stateOf(state: string, status: string): MemberState {
  if (state === "exited" || state === "dead" || state === "removing") return "gone";
  // `Up 3 seconds (health: starting)`, `Up 9 seconds (unhealthy)`; no brackets without a check.
  return state === "running" && !/\((?:health: starting|unhealthy)\)/.test(status)
    ? "ready"
    : "starting";
}
