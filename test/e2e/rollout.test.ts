/** Models that are pushed, rolled back, unloaded and removed by command while requests come in. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attribute, ELEMENT, encodeModel, f32, model, node, valueInfo } from "@millrace/onnx";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { millrace, succeed } from "../support/command.ts";
import { type Answer, ask } from "../support/inference.ts";
import { type Entry, Load } from "../support/load.ts";
import { Members } from "../support/members.ts";

const PER_SECOND = 150;
const TIMEOUT_MS = 2_000;
const NAME = "rolling";
const WORKERS = ["gpu-worker-1", "cpu-worker-1"] as const;

let directory: string;
let cluster: Cluster;
let members: Members;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-rollout-"));
  cluster = await startCluster({
    env: EMULATED,
    models: [affine("bystander", { factor: 3, offset: 0 })],
  });
  members = new Members(cluster.bus);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** The command line that pushes this file under the name. */
async function pushOf(file: Uint8Array): Promise<readonly string[]> {
  const path = join(directory, "model.onnx");
  await writeFile(path, file);
  const provenance = ["--source", "a test", "--upstream-name", "affine", "--licence", "MIT"];
  return ["model", "push", path, "--name", NAME, "--max-batch", "8", ...provenance];
}

/** Each version adds its own number, so that the values tell who answered. */
const versionOf = (version: number): Uint8Array =>
  affine(NAME, { factor: 2, offset: version }).file;

/** Signed as the others, and fails to run more than four rows, which warming it up shows. */
function unloadable(): Uint8Array {
  const onnx = model({
    node: [
      node("Shape", ["x"], ["rows"], { start: attribute.int(0), end: attribute.int(1) }),
      node("Gather", ["limit", "rows"], ["zero"]),
      node("Add", ["x", "zero"], ["y"]),
    ],
    initializer: [f32("limit", [5], [0, 0, 0, 0, 0])],
    input: [valueInfo("x", ELEMENT.FLOAT, ["batch", 4])],
    output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 4])],
  });
  return encodeModel(onnx);
}

const startLoad = (name: string): Load =>
  new Load({
    target: cluster,
    perSecond: PER_SECOND,
    timeoutMs: TIMEOUT_MS,
    question: (number) => {
      const values = [number, number + 1, number + 2, number + 3];
      return {
        model: name,
        inputs: [rows4(values)],
        expected: (version) =>
          values.map((value) => (name === NAME ? 2 * value + version : 3 * value)),
      };
    },
  });

/** Something happens under load, and no request notices but by the version of its answer. */
async function during(name: string, happening: (load: Load) => Promise<void>): Promise<Load> {
  const load = startLoad(name);
  try {
    await cluster.until("an answer", () => load.entries.some(({ answer }) => answer !== undefined));
    await happening(load);
  } finally {
    await load.stop();
  }
  expect(load.troubles).toEqual([]);
  return load;
}

const byVersion = (load: Load, version: number): readonly Entry[] =>
  load.entries.filter(({ answer }) => answer?.version === version);

const untilAnsweredBy = (load: Load, version: number): Promise<void> =>
  cluster.until(`answers of version ${version}`, () => byVersion(load, version).length > 20);

/** From the first answer of a version on, nobody else answers what is asked. */
function expectHandover(load: Load, from: number, to: number): void {
  const first = Math.min(...byVersion(load, to).map(({ answeredMs }) => answeredMs));
  expect(byVersion(load, from).filter(({ askedMs }) => askedMs > first)).toEqual([]);
  expect(byVersion(load, from).length).toBeGreaterThan(0);
}

const answerOf = (values: readonly number[], version?: number): Promise<Answer> =>
  ask(cluster, NAME, [rows4(values)], version === undefined ? {} : { version });

describe("a model under load", () => {
  test("a first version is pushed, and answers", async () => {
    const out = await succeed(cluster, await pushOf(versionOf(1)));
    expect(out).toContain(`${NAME}@1 is registered and active`);
    const answer = await answerOf([1, 2, 3, 4]);
    expect(answer).toMatchObject({ status: 200, version: 1 });
    expect(answer.outputs[0]?.data).toEqual([3, 5, 7, 9]);
  });

  test("a new version takes over once a worker has it ready, and no request fails", async () => {
    const ref = `${NAME}@2`;
    let readyMs = Number.POSITIVE_INFINITY;
    const load = await during(NAME, async (running) => {
      const end = members.onWorker(({ id }) => {
        if (members.holds(id, ref)) readyMs = Math.min(readyMs, running.nowMs);
      });
      await succeed(cluster, await pushOf(versionOf(2)));
      await untilAnsweredBy(running, 2);
      end();
    });
    expectHandover(load, 1, 2);
    const [first] = byVersion(load, 2);
    // The heartbeat is on its way to this process and to the ingress at the same time.
    expect(first?.answeredMs).toBeGreaterThan(readyMs - 50);
  });

  test("a version that no worker can load never gets a request", async () => {
    const load = await during(NAME, async (running) => {
      const { code, err } = await millrace(cluster, await pushOf(unloadable()));
      expect(code).toBe(1);
      expect(err).toContain(`${NAME}@3 is registered but not ready`);
      expect(err).toContain("model rollback");
      const before = running.entries.length;
      await cluster.until("more load", () => running.entries.length > before + 50);
      await succeed(cluster, ["model", "rollback", NAME]);
    });
    expect(byVersion(load, 2)).toHaveLength(load.entries.length);
  });

  test("a rollback returns to the version named, and no request fails", async () => {
    const load = await during(NAME, async (running) => {
      await succeed(cluster, ["model", "rollback", `${NAME}@1`]);
      await untilAnsweredBy(running, 1);
    });
    expectHandover(load, 2, 1);
  });

  test("a version that is not active answers who asks for it by number", async () => {
    const answer = await answerOf([1, 2, 3, 4], 2);
    expect(answer).toMatchObject({ status: 200, version: 2 });
    expect(answer.outputs[0]?.data).toEqual([4, 6, 8, 10]);
  });

  test("unloaded it is refused and leaves the devices; loaded it answers again", async () => {
    await during("bystander", async () => {
      await succeed(cluster, ["model", "unload", NAME]);
      await cluster.until("the refusal", async () => (await answerOf([0, 0, 0, 0])).status === 503);
      expect(await answerOf([0, 0, 0, 0])).toMatchObject({ status: 503, code: "NOT_LOADED" });
      await cluster.until("the devices to be without it", () =>
        WORKERS.every((id) => !members.residents(id).some(({ ref }) => ref.startsWith(NAME))),
      );
      await succeed(cluster, ["model", "load", NAME]);
      await cluster.until("an answer", async () => (await answerOf([0, 0, 0, 0])).status === 200);
    });
  });

  test("the active version cannot be removed, another one can", async () => {
    const { code, err } = await millrace(cluster, ["model", "remove", `${NAME}@1`]);
    expect(code).toBe(1);
    expect(err).toContain("active");
    await during(NAME, async () => {
      await succeed(cluster, ["model", "remove", `${NAME}@2`]);
      await cluster.until("the end of version 2", async () => {
        const { status } = await answerOf([0, 0, 0, 0], 2);
        return status === 404;
      });
    });
    expect(await answerOf([0, 0, 0, 0], 2)).toMatchObject({ code: "VERSION_NOT_FOUND" });
  });

  test("removed it is not found; another model of its name is not taken for it", async () => {
    await during("bystander", async () => {
      await succeed(cluster, ["model", "remove", NAME, "--yes"]);
      // At once, while devices still hold the version 1 that was removed.
      await succeed(cluster, await pushOf(affine(NAME, { factor: 7, offset: 0 }).file));
      await cluster.until("an answer", async () => (await answerOf([0, 0, 0, 0])).status === 200);
      const answer = await answerOf([1, 2, 3, 4]);
      expect(answer.outputs[0]?.data).toEqual([7, 14, 21, 28]);
      await succeed(cluster, ["model", "remove", NAME, "--yes"]);
      await cluster.until("the refusal", async () => (await answerOf([0, 0, 0, 0])).status === 404);
      expect(await answerOf([0, 0, 0, 0])).toMatchObject({ code: "MODEL_NOT_FOUND" });
    });
  });
});
