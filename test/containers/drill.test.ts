/**
 * A drill against the compose cluster with three NATS servers: its containers are killed, frozen,
 * restarted and cut off by the command that a user gives, and nothing of what it asks is lost.
 */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { DrillResult } from "@millrace/drills";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { docker, projectOf, removeProject, sweepProjects, whyNoEngine } from "../support/engine.ts";
import { freePorts } from "../support/ports.ts";
import { ROOT } from "../support/workspace.ts";

const MAIN = join(ROOT, "services", "ctl", "src", "main.ts");
const FILES = ["compose.yaml", "compose.ha.yaml"].flatMap((name) => ["-f", `deploy/${name}`]);
const START_MS_MAX = 240_000;
const DRILL_MS_MAX = 180_000;
const SERVED_MS_MAX = 90_000;

const missing = whyNoEngine();
/** Whether the network namespaces of containers can be entered. */
const isInside =
  process.getuid?.() === 0 &&
  ["nsenter", "iptables"].every((tool) => spawnSync("which", [tool]).status === 0);
const project = projectOf("drill");
let directory: string;

interface Ran {
  readonly code: number | null;
  readonly out: string;
}

async function run(command: string, args: readonly string[], env = {}): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, COMPOSE_ANSI: "never", ...env },
  });
  const [out, err] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { code: child.exitCode, out: `${out}${err}` };
}

const chaos = (...words: readonly string[]): Promise<Ran> =>
  run(process.execPath, [MAIN, "chaos", ...words]);

/** The service that pushes the examples is the last that is needed. */
async function untilServed(): Promise<void> {
  const lastAtMs = performance.now() + SERVED_MS_MAX;
  const filters = [`project=${project}`, "service=examples"].flatMap((label) => [
    "--filter",
    `label=com.docker.compose.${label}`,
  ]);
  for (;;) {
    const status = await docker("ps", "--all", ...filters, "--format", "{{.Status}}");
    if (status.startsWith("Exited (0)")) return;
    if (performance.now() > lastAtMs) {
      const { out } = await run("docker", ["compose", "-p", project, "logs", "--tail", "20"]);
      throw new Error(`examples were not served: ${status}\n${out}`);
    }
    await sleep(500);
  }
}

beforeAll(async () => {
  if (missing !== undefined) return;
  await sweepProjects();
  directory = await mkdtemp(join(tmpdir(), "millrace-test-containers-"));
  const [port] = await freePorts(1);
  const up = ["compose", "-p", project, ...FILES, "up", "--detach", "--build"];
  const { code, out } = await run("docker", up, { MILLRACE_PORT: String(port) });
  if (code !== 0) throw new Error(out);
  await untilServed();
}, START_MS_MAX);

afterAll(async () => {
  if (missing !== undefined) return;
  await removeProject(project);
  await rm(directory, { recursive: true, force: true });
});

const reason = missing === undefined ? "" : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`the compose cluster${reason}`, () => {
  test("a project that is not there is refused", async () => {
    const { code, out } = await chaos("run", "chaos/containers.yaml", "--compose", "nowhere");
    expect([code, out]).toEqual([1, expect.stringContaining("no containers of a project nowhere")]);
  });

  test("a minute of faults in containers loses nothing", { timeout: DRILL_MS_MAX }, async () => {
    expect(await drill("containers")).toEqual(["kill", "partition", "pause", "restart"]);
  });

  test.skipIf(!isInside)(
    `nor do packets that are dropped${isInside ? "" : " (skipped: needs root, nsenter and iptables)"}`,
    { timeout: DRILL_MS_MAX },
    async () => {
      expect(await drill("containers-network")).toEqual(["blackhole"]);
    },
  );
});

/** @returns the kinds of its faults, when it was green and all that it broke is whole. */
async function drill(name: string): Promise<readonly string[]> {
  const json = join(directory, `${name}.json`);
  const report = join(directory, name);
  const where = ["--compose", project, "--report", report, "--json", json];
  const { code, out } = await chaos("run", `chaos/${name}.yaml`, ...where);
  expect(out).toContain("\ngreen\n");
  expect(code, out).toBe(0);
  const result = JSON.parse(await readFile(json, "utf8")) as DrillResult;
  console.log(out.slice(out.indexOf("the load has ended")));
  expect(result).toMatchObject({ lost: 0, duplicated: 0, stuck: 0, jobs: 50 });
  expect(result.requests).toBeGreaterThan(5_000);
  const filter = `label=com.docker.compose.project=${project}`;
  const ids = (await docker("ps", "--quiet", "--filter", filter)).split("\n");
  const format = "{{.State.Paused}} {{len .NetworkSettings.Networks}}";
  const states = (await docker("inspect", "--format", format, ...ids)).split("\n");
  expect(states.filter((state) => !/^false [12]$/.test(state))).toEqual([]);
  expect(states.length).toBe(9);
  return [...new Set(result.faults.map(({ kind }) => kind))].toSorted();
}
