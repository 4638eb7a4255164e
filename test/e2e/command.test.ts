/**
 * The `millrace` command as its users run it, against a running cluster: what it shows, asks and
 * changes, and how it ends where something is wrong.
 */

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCredentials, seedFileOf } from "@millrace/broker";
import { exampleModels, type ExampleSample } from "@millrace/examples";
import { present } from "@millrace/std";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { millrace, succeed } from "../support/command.ts";
import { ask } from "../support/inference.ts";

const [digits, sms] = exampleModels().map((example) => present(example, "an example"));
const SCHEDULERS = ["scheduler-1", "scheduler-2"] as const;
const PROVENANCE = ["--source", "a test", "--upstream-name", "affine", "--licence", "MIT"];

let directory: string;
let cluster: Cluster;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-command-"));
  cluster = await startCluster({
    env: EMULATED,
    models: [affine("double", { factor: 2, offset: 1 })],
  });
  await succeed(cluster, ["model", "push-examples"]);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function save(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

/** A port where nobody listens any more. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** How a command fails: on standard error the problem and then the remedy, and nothing else. */
async function failing(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly problem: string; readonly remedy: string }> {
  const { code, out, err } = await millrace(cluster, words, { env });
  expect(out).toBe("");
  const [problem = "", remedy = "", ...rest] = err.trimEnd().split("\n");
  expect(rest).toEqual([]);
  return { code, problem, remedy };
}

describe("status", () => {
  interface Shown {
    readonly workers: readonly {
      readonly id: string;
      readonly state: string;
      readonly device: { readonly class: string; readonly memoryTotalBytes: number };
      readonly models: readonly { readonly ref: string }[];
    }[];
    readonly schedulers: readonly { readonly id: string }[];
    readonly ingresses: readonly { readonly id: string }[];
    readonly models: readonly { readonly ref: string; readonly ready: number }[];
  }

  test("as JSON it has every member, its device and its models", async () => {
    let shown: Shown | undefined;
    await cluster.until("two copies of every model", async () => {
      shown = JSON.parse(await succeed(cluster, ["status", "--json"])) as Shown;
      return shown.models.length === 3 && shown.models.every(({ ready }) => ready === 2);
    });
    const { workers, schedulers, ingresses, models } = present(shown, "the status");
    expect(workers.map(({ id, state, device }) => [id, state, device.class])).toEqual([
      ["cpu-worker-1", "ready", "cpu"],
      ["gpu-worker-1", "ready", "emulated"],
    ]);
    for (const { device, models: held } of workers) {
      expect(device.memoryTotalBytes).toBe(1024 ** 3);
      expect(held.map(({ ref }) => ref).toSorted()).toEqual(["digits@1", "double@1", "sms-spam@1"]);
    }
    expect(schedulers.map(({ id }) => id)).toEqual(SCHEDULERS);
    expect(ingresses.map(({ id }) => id)).toEqual(["ingress-1"]);
    expect(models.map(({ ref }) => ref)).toEqual(["digits@1", "double@1", "sms-spam@1"]);
  });

  test("as tables it says of an emulated device that it is one", async () => {
    const out = await succeed(cluster, ["status"]);
    const rowOf = (id: string): string =>
      present(
        out.split("\n").find((line) => line.startsWith(`${id} `)),
        id,
      );
    expect(rowOf("gpu-worker-1")).toMatch(/ emulated on .* \/ 1\.0 GiB .* ready +digits@1/);
    expect(rowOf("cpu-worker-1")).toMatch(/ cpu: .* ready +digits@1/);
    for (const id of [...SCHEDULERS, "ingress-1", "double@1"]) expect(rowOf(id)).not.toBe("");
    expect(out).not.toContain(cluster.key);
  });
});

describe("infer", () => {
  /** Of the first row that names a label: the best one stands first. */
  const bestOf = (out: string): string | undefined => /\n {4}(\S+) [\d.]+ %/.exec(out)?.[1];

  const sampleOf = (label: string): ExampleSample =>
    present(
      sms?.samples.find((sample) => sample.label === label),
      label,
    );

  test("a picture of a seven is a seven", async () => {
    const picture = present(digits?.picture, "a picture");
    const out = await succeed(cluster, ["infer", "digits", "--image", picture]);
    expect(out.split("\n")[0]).toBe("digits@1");
    expect(bestOf(out)).toBe("7");
  });

  test.each(["ham", "spam"])("a text that is labelled %s", async (label) => {
    const { text } = sampleOf(label);
    const out = await succeed(cluster, ["infer", "sms-spam", "--text", present(text, label)]);
    expect(out.split("\n")[0]).toBe("sms-spam@1");
    expect(bestOf(out)).toBe(label);
  });

  test("raw bytes, and the answer as the protocol has it", async () => {
    const sample = present(digits?.samples[4], "a sample");
    const data = present(sample.inputs[0], "its input").data;
    const file = await save("image.bin", new Uint8Array(Float32Array.from(data).buffer));
    const words = ["infer", "digits@1", "--input", `image=${file}`, "--raw"];
    const answer = JSON.parse(await succeed(cluster, words)) as {
      readonly model_version: string;
      readonly outputs: readonly { readonly shape: readonly number[]; readonly data: number[] }[];
    };
    expect(answer).toMatchObject({ model_name: "digits", model_version: "1" });
    const scores = present(answer.outputs[0], "an output");
    expect(scores.shape).toEqual([1, 10]);
    expect(String(scores.data.indexOf(Math.max(...scores.data)))).toBe(sample.label);
  });

  test("plain JSON from standard input", async () => {
    const words = ["infer", "double", "--json", "-", "--priority", "realtime"];
    const { code, out, err } = await millrace(cluster, words, { input: "[[1, 2, 3, 4]]" });
    expect([code, err]).toEqual([0, ""]);
    expect(out).toBe("double@1\n  y FP32 [1,4]: 3, 5, 7, 9\n");
  });
});

describe("model", () => {
  const NAME = "lifecycle";
  const digests: string[] = [];
  const versions = [1, 2].map((offset) => affine(NAME, { factor: 1, offset }).file);

  interface Record {
    readonly active: number;
    readonly loaded: boolean;
    readonly versions: { readonly [version: string]: { readonly digest: string } };
  }

  const show = async (): Promise<Record> =>
    JSON.parse(await succeed(cluster, ["model", "show", NAME, "--json"])) as Record;

  const push = async (version: number): Promise<string> => {
    const path = await save("model.onnx", present(versions[version - 1], "a file"));
    const words = ["model", "push", path, "--name", NAME, "--max-batch", "8", ...PROVENANCE];
    return succeed(cluster, words);
  };

  /** What is added to zero is the version's number. */
  const answered = async (): Promise<number | string | undefined> => {
    const { code, outputs } = await ask(cluster, NAME, [rows4([0, 0, 0, 0])]);
    return code ?? outputs[0]?.data[0];
  };

  const untilAnswered = (expected: number | string): Promise<void> =>
    cluster.until(`the answer ${expected}`, async () => (await answered()) === expected);

  test("push stores, serves, and stores nothing twice", async () => {
    expect(await push(1)).toBe(`${NAME}@1 is registered and active\n`);
    expect(await answered()).toBe(1);
    expect(await push(1)).toBe(`${NAME}@1 is this model already: nothing was stored\n`);
    expect(await push(2)).toBe(`${NAME}@2 is registered and active\n`);
    await untilAnswered(2);
  });

  test("list and show say what is there", async () => {
    const list = await succeed(cluster, ["model", "list"]);
    expect(list).toMatch(new RegExp(`^${NAME}@2 +loaded +2 .* 8 +MIT +affine$`, "m"));
    const records = JSON.parse(await succeed(cluster, ["model", "list", "--json"])) as object[];
    expect(records).toHaveLength(4);
    const shown = await succeed(cluster, ["model", "show", NAME]);
    expect(shown).toMatch(/^inputs +x FP32 \[-1,4\]$/m);
    expect(shown).toMatch(/^licence +MIT$/m);
    expect(shown).toMatch(/^2 +active .*\n1 +previous /m);
    const record = await show();
    expect(record).toMatchObject({ active: 2, loaded: true });
    for (const { digest } of Object.values(record.versions)) {
      digests.push(digest);
      expect(shown).toContain(digest);
    }
    expect(new Set(digests).size).toBe(2);
  });

  test("rollback returns to the version before", async () => {
    expect(await succeed(cluster, ["model", "rollback", NAME])).toBe(`${NAME}@1 is active\n`);
    await untilAnswered(1);
    expect((await show()).active).toBe(1);
  });

  test("unload refuses its requests, load serves it again", async () => {
    expect(await succeed(cluster, ["model", "unload", NAME])).toContain(`${NAME} is unloaded`);
    await untilAnswered("NOT_LOADED");
    expect((await show()).loaded).toBe(false);
    const input = await save("zeros.json", "[[0, 0, 0, 0]]");
    const { code, problem } = await failing(["infer", NAME, "--json", input]);
    expect(code).toBe(1);
    expect(problem).toMatch(
      /^error: lifecycle is unloaded.*`millrace model load`.*\(NOT_LOADED\)$/,
    );
    expect(await succeed(cluster, ["model", "load", NAME])).toBe(`${NAME}@1 is to be loaded\n`);
    await untilAnswered(1);
  });

  test("remove takes a version, then the rest, and their files", async () => {
    const left = `${NAME}@2 is removed, and its file\n`;
    expect(await succeed(cluster, ["model", "remove", `${NAME}@2`])).toBe(left);
    expect(Object.keys((await show()).versions)).toEqual(["1"]);
    const { code, problem, remedy } = await failing(["model", "remove", NAME]);
    expect([code, remedy]).toEqual([2, "confirm with --yes"]);
    expect(problem).toBe(`error: this removes ${NAME} with all its versions`);
    const all = await succeed(cluster, ["model", "remove", NAME, "--yes"]);
    expect(all).toBe(`${NAME} is removed, and its file\n`);
    await untilAnswered("MODEL_NOT_FOUND");
    for (const digest of digests) {
      expect((await cluster.store.blobs.read(digest)).ok).toBe(false);
    }
  });
});

describe("what goes wrong", () => {
  const push = (path: string, ...words: readonly string[]): readonly string[] => [
    "model",
    "push",
    path,
    "--name",
    "wrong",
    ...words,
  ];

  test("an unknown model, for each command that takes one", async () => {
    for (const words of [
      ["infer", "nobody", "--json", "-"],
      ["model", "show", "nobody"],
      ["model", "load", "nobody"],
      ["model", "unload", "nobody"],
      ["model", "rollback", "nobody"],
      ["model", "remove", "nobody", "--yes"],
    ]) {
      const { code, problem, remedy } = await failing(words);
      expect([code, remedy]).toEqual([1, "see `millrace model list`"]);
      expect(problem).toMatch(/^error: .*nobody.* \(MODEL_NOT_FOUND\)$/);
    }
  });

  test("an unknown version", async () => {
    const { code, problem, remedy } = await failing(["infer", "double@9", "--json", "-"]);
    expect([code, remedy]).toEqual([1, "see `millrace model show NAME`"]);
    expect(problem).toContain("(VERSION_NOT_FOUND)");
  });

  test("no cluster, and no ingress", async () => {
    const port = await deadPort();
    const env = {
      MILLRACE_NATS_URL: `nats://127.0.0.1:${port}`,
      MILLRACE_URL: `http://127.0.0.1:${port}`,
    };
    for (const words of [["status"], ["model", "list"]]) {
      const { code, problem, remedy } = await failing(words, env);
      const wanted = "start one with `npm run up`, say its --directory, or set MILLRACE_NATS_URL";
      expect([code, remedy]).toEqual([1, wanted]);
      expect(problem).toContain(`error: no cluster at ${env.MILLRACE_NATS_URL} (`);
    }
    const { code, problem, remedy } = await failing(["infer", "double", "--json", "-"], env);
    expect([code, remedy]).toEqual([1, "start a cluster with `npm run up`, or set MILLRACE_URL"]);
    expect(problem).toBe(`error: no ingress at ${env.MILLRACE_URL} (ECONNREFUSED)`);
  });

  test("a key that the ingress or the broker does not know", async () => {
    const words = ["infer", "double", "--json", "-"];
    const refused = await failing(words, { MILLRACE_API_KEY: "mr_0_nobody" });
    expect(refused.code).toBe(1);
    expect(refused.problem).toContain("(UNAUTHENTICATED)");
    expect(refused.remedy).toContain("`millrace key create` makes one");
    const elsewhere = join(directory, "elsewhere");
    await createCredentials(elsewhere);
    const seedFile = seedFileOf(elsewhere, "admin");
    const { code, problem, remedy } = await failing(["status"], {
      MILLRACE_NATS_SEED_FILE: seedFile,
    });
    expect(code).toBe(1);
    expect(problem).toContain(`lets nobody in with the key in ${seedFile}`);
    expect(remedy).toContain("MILLRACE_NATS_SEED_FILE");
  });

  test("a model whose provenance is missing or whose file is corrupt leaves nothing", async () => {
    const { file } = affine("wrong", { factor: 1, offset: 0 });
    const missing = await failing(push(await save("whole.onnx", file), "--licence", "MIT"));
    expect(missing).toMatchObject({
      code: 1,
      remedy: "give --source, --upstream-name and --licence",
    });
    expect(missing.problem).toContain("(PROVENANCE_MISSING)");
    const path = await save("half.onnx", file.subarray(0, file.length / 2));
    const { code, out, err } = await millrace(cluster, push(path, ...PROVENANCE));
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^error: .*\(MODEL_CORRUPT\)\nexport the model again; /m);
    const record = await cluster.store.registry.get("wrong");
    expect(record).toEqual({ ok: true, value: undefined });
  });

  test("a file that is not there, and one that is no picture", async () => {
    const path = join(directory, "missing.onnx");
    const missing = await millrace(cluster, push(path, ...PROVENANCE));
    expect([missing.code, missing.out]).toEqual([1, ""]);
    expect(missing.err).toMatch(/^error: ENOENT: .*missing\.onnx'\n$/);
    const text = await save("picture.png", "not a picture, though its name says so");
    const { code, problem, remedy } = await failing(["infer", "digits", "--image", text]);
    expect([code, problem]).toEqual([1, "error: the image is not a PNG"]);
    expect(remedy).toContain("convert it first");
  });

  test.each([
    [["infer", "double"], "no input was given"],
    [["infer", "double", "--json", "-", "--text", "a"], "several kinds of input"],
    [["infer", "double", "--json", "-", "--timeout", "soon"], "--timeout soon"],
    [["infer", "double", "--json", "-", "--priority", "urgent"], "urgent"],
    [["infer", "Double!", "--json", "-"], "is no name"],
    [["model", "push"], "no ONNX file was given"],
    [["model", "push", "model.onnx", "--max-batch", "some"], "no name was given"],
    [["model", "show"], "missing required argument"],
    [["grind"], "unknown command 'grind'"],
    [["status", "--colour"], "unknown option '--colour'"],
  ])("wrong usage ends with 2: %j", async (words, problem) => {
    const { code, out, err } = await millrace(cluster, words);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(problem);
    // The problem, and what would be right.
    expect(err.trimEnd().split("\n").length).toBeGreaterThan(1);
  });
});
