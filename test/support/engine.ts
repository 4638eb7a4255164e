/**
 * The container engine that tests use, where one is there, and the end of what they leave in it:
 * all of a test carries the label of one compose project, which names the process that made it.
 */

import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const PROBE_MS_MAX = 10_000;
const PULL_MS_MAX = 120_000;
const COMMAND_MS_MAX = 60_000;
const LABEL = "com.docker.compose.project";
const PREFIX = "millrace-test-";
export const NATS_IMAGE = "nats:2.14.5-alpine";
/** That images are built from and containers are started from. */
const IMAGES = ["node:24-bookworm-slim", NATS_IMAGE];

export const docker = async (...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)("docker", [...args], { timeout: COMMAND_MS_MAX })).stdout.trim();

/** Why containers cannot be tested here; undefined where they can. */
export function whyNoEngine(): string | undefined {
  const succeeds = (args: readonly string[], timeout = PROBE_MS_MAX): boolean =>
    spawnSync("docker", args, { stdio: "ignore", timeout }).status === 0;
  if (!succeeds(["info"])) return "no container engine answers";
  if (!succeeds(["compose", "version"])) return "docker has no compose plugin";
  const mayKill = process.getuid?.() === 0 && existsSync("/proc/self/stat");
  if (!mayKill) return "killing a container's process needs root on the engine's machine";
  const away = IMAGES.find(
    (image) =>
      !succeeds(["image", "inspect", image]) && !succeeds(["pull", "--quiet", image], PULL_MS_MAX),
  );
  return away === undefined ? undefined : `${away} is not here and cannot be pulled`;
}

/** The name of a project of this process's own. */
export const projectOf = (name: string): string => `${PREFIX}${name}-${process.pid}`;

/** Containers, networks and volumes, whatever state they are in. */
export async function removeProject(project: string): Promise<void> {
  const filter = ["--filter", `label=${LABEL}=${project}`];
  const remove = async (list: readonly string[], verb: readonly string[]): Promise<void> => {
    const found = (await docker(...list, ...filter)).split("\n").filter(Boolean);
    if (found.length > 0) await docker(...verb, ...found);
  };
  // Whoever made them may be removing them too: what is gone is no failure, what stays is one.
  for (let round = 1; ; round++) {
    try {
      await remove(["ps", "--all", "--quiet"], ["rm", "--force", "--volumes"]);
      await remove(["network", "ls", "--quiet"], ["network", "rm"]);
      await remove(["volume", "ls", "--quiet"], ["volume", "rm"]);
      return;
    } catch (error) {
      if (round === 5) throw error;
    }
  }
}

/** What test processes that were killed have left. */
export async function sweepProjects(): Promise<void> {
  const format = `{{.Label "${LABEL}"}}`;
  const projects = await docker("ps", "--all", "--format", format, "--filter", `label=${LABEL}`);
  for (const project of new Set(projects.split("\n"))) {
    const pid = /^millrace-test-[a-z]+-(\d+)$/.exec(project)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeProject(project);
  }
}
