/**
 * `millrace up` as a user runs it: from the first line to Ctrl-C, and when it is killed instead.
 */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Up } from "../support/up.ts";

const GONE_MS_MAX = 15_000;

let directory: string;
let up: Up | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-up-"));
});

afterEach(async () => {
  up?.child.kill("SIGTERM");
  await up?.ended;
  up = undefined;
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Of the processes that `up` started, as their own logs name them. */
async function startedPids(): Promise<readonly number[]> {
  const logs = join(directory, "logs");
  const names = (await readdir(logs)).filter((name) => /^[a-z-]+-\d\.log$/.test(name));
  const pids = await Promise.all(
    names.map(async (name) => /"pid":(\d+)/.exec(await readFile(join(logs, name), "utf8"))?.[1]),
  );
  return [...pids, await readFile(join(directory, "nats", "nats-server.pid"), "ascii")].map(Number);
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function untilGone(pids: readonly number[]): Promise<void> {
  const lastAtMs = performance.now() + GONE_MS_MAX;
  while (pids.some(isAlive)) {
    if (performance.now() > lastAtMs)
      throw new Error(`still there: ${pids.filter(isAlive).join()}`);
    await sleep(50);
  }
}

test("it serves real predictions, refuses a second one, and drains when told to", async () => {
  up = new Up(directory);
  const [, url = ""] = await up.wrote(/^URL\s+(\S+)$/m);
  const [, request = ""] = await up.wrote(/^ {2}-d '(.+)'$/m);
  await up.wrote(/^WORKER .*\n.*digits@1/m);
  expect(up.output).toMatch(/labelled 0, it answers:[^]*probabilities FP32 \[1,10\]\n\s+0 \d/);
  expect(up.output).toMatch(/labelled ham, it answers:[^]*probabilities FP32 \[1,2\]\n\s+ham \d/);

  const key = (await readFile(join(directory, "api-key"), "ascii")).trim();
  expect(up.output).not.toContain(key);
  const ask = (headers: Readonly<Record<string, string>>): Promise<Response> =>
    fetch(`${url}/v2/models/sms-spam/infer`, { method: "POST", headers, body: request });
  const answer = await ask({ authorization: `Bearer ${key}` });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ model_name: "sms-spam", model_version: "1" });
  expect((await ask({})).status).toBe(401);

  const second = new Up(directory);
  expect(await second.ended).toBe(1);
  expect(second.output).toContain(`a cluster is running here already, at ${url}`);

  const pids = await startedPids();
  expect(pids).toHaveLength(6);
  up.child.kill("SIGINT");
  expect(await up.ended).toBe(0);
  expect(up.output).toContain("Everything that was started has ended.");
  expect(pids.filter(isAlive)).toEqual([]);
});

test("it starts again on what is there, and when killed leaves nothing running", async () => {
  up = new Up(directory);
  await up.wrote(/^curl /m);
  expect(up.output).toContain("digits@1 is in the registry");
  const pids = await startedPids();
  const state = await readFile(join(directory, "state.json"), "utf8");
  process.kill((JSON.parse(state) as { readonly pid: number }).pid, "SIGKILL");
  expect(await up.ended).toBe(128 + 9);
  await untilGone(pids);
});
