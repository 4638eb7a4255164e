/** The members of an embedded cluster: what they are told, and how they end. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CommandError } from "../../src/failure.ts";
import { countMembers, type MemberPlan, planMembers } from "../../src/up/members.ts";
import { Processes } from "../../src/up/processes.ts";

let directory: string;
let said: string[];

const PLAN: MemberPlan = {
  counts: { ingress: 1, scheduler: 2, "gpu-worker": 1, "cpu-worker": 1 },
  servers: "nats://127.0.0.1:4222",
  credentialsDirectory: "/state/credentials",
  directory: "/state",
  keysFile: "/state/api-keys.jsonl",
  httpHost: "127.0.0.1",
  httpPort: 8080,
  metricsPorts: [9464, 9465, 9466, 9467, 9468],
  deviceMemory: "2GiB",
  logLevel: "info",
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-processes-"));
  said = [];
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("the plan", () => {
  test("gives every process an id, its own role's key and a port for its metrics", () => {
    const members = planMembers(PLAN);
    expect(countMembers(PLAN.counts)).toBe(members.length);
    expect(members.map(({ id }) => id)).toEqual([
      "scheduler-1",
      "scheduler-2",
      "ingress-1",
      "gpu-worker-1",
      "cpu-worker-1",
    ]);
    for (const { id, role, env } of members) {
      expect(env).toMatchObject({
        MILLRACE_ID: id,
        MILLRACE_NATS_SEED_FILE: `/state/credentials/${role}.nk`,
      });
    }
    const ports = members.map(({ env }) => env.MILLRACE_METRICS_PORT);
    expect(new Set(ports).size).toBe(members.length);
  });

  test("tells only the ingress of the API keys, and only it listens for HTTP", () => {
    for (const { role, env } of planMembers(PLAN)) {
      expect("MILLRACE_API_KEYS_FILE" in env).toBe(role === "ingress");
      expect("MILLRACE_HTTP_PORT" in env).toBe(role === "ingress");
    }
  });
});

/** Starts the members with stand-ins for the services. */
async function start(script: string): Promise<Processes> {
  const entry = join(directory, "service.mjs");
  await writeFile(entry, script);
  return new Processes({
    members: planMembers(PLAN),
    logDirectory: directory,
    say: (line) => said.push(line),
    entryOf: () => entry,
  });
}

const logOf = (id: string): Promise<string> => readFile(join(directory, `${id}.log`), "utf8");

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("waited in vain");
    await sleep(20);
  }
}

describe("the processes", () => {
  const ORDERLY = `
    import { appendFileSync } from "node:fs";
    const id = process.env.MILLRACE_ID;
    process.on("SIGTERM", () => {
      appendFileSync(${JSON.stringify("ORDER")}, id + "\\n");
      process.exit(0);
    });
    console.log("ready", id);
    setInterval(() => {}, 1000);`;

  test("write a log each, and end with the ingress first", async () => {
    const order = join(directory, "order");
    const processes = await start(ORDERLY.replace('"ORDER"', JSON.stringify(order)));
    await until(async () => {
      const logs = await Promise.all(planMembers(PLAN).map(({ id }) => logOf(id)));
      return logs.every((log) => log.startsWith("ready"));
    });
    processes.check();
    await processes.stop();
    const ended = (await readFile(order, "utf8")).trim().split("\n");
    expect(ended[0]).toBe("ingress-1");
    expect(ended.toSorted()).toEqual(
      planMembers(PLAN)
        .map(({ id }) => id)
        .toSorted(),
    );
    expect(said).toEqual([]);
  });

  test("keep what Node compiled, for the next ones", async () => {
    await using processes = await start(
      `import { getCompileCacheDir } from "node:module";
      console.log("cache", getCompileCacheDir());
      setInterval(() => {}, 1000);`,
    );
    await until(async () => (await logOf("gpu-worker-1")).includes("cache"));
    processes.check();
    const kept = process.env["NODE_COMPILE_CACHE"] ?? ".millrace/cache/compiled";
    expect(await logOf("gpu-worker-1")).toContain(kept);
  });

  test("that refuse their configuration are named with their last words", async () => {
    await using processes = await start(
      `console.error("MILLRACE_X is 1: expected 2"); process.exitCode = 78;`,
    );
    await until(() => said.length === planMembers(PLAN).length);
    expect(said).toContain("scheduler-1: misconfigured (exit 78), is not started again");
    expect(() => processes.check()).toThrow(CommandError);
    expect(() => processes.check()).toThrow(
      "scheduler-1: misconfigured (exit 78)\n  MILLRACE_X is 1: expected 2",
    );
  });

  test("that do not end are ended when there is no time left", async () => {
    const processes = await start(
      `process.on("SIGTERM", () => {}); console.log("ready"); setInterval(() => {}, 1000);`,
    );
    await until(async () => (await logOf("ingress-1")) === "ready\n");
    const startedAtMs = performance.now();
    const stopped = processes.stop();
    await processes.kill();
    await stopped;
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
  });
});
