/**
 * The command as its users run it: models on a real NATS, with one connection that speaks for the
 * workers, and predictions from an ingress that is a few lines of HTTP.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { type Broker, inboxPrefix, startBroker } from "@millrace/broker";
import { type Bus, connectBus } from "@millrace/bus";
import { benchModel } from "@millrace/examples";
import { encodeJson, type Resident, subjects, type WorkerHeartbeat } from "@millrace/protocol";
import { openStore, type Store } from "@millrace/store";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readCluster } from "../src/cluster.ts";
import { pushModel } from "../src/push.ts";
import { runProgram } from "../src/program.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const PROVENANCE = ["--source", "a test", "--upstream-name", "tiny", "--licence", "MIT"];

let directory: string;
let broker: Broker;
let admin: Bus;
let worker: Bus;
let store: Store;
let server: Server;
let tiny: string;
let residents: Resident[] = [];
let beats: NodeJS.Timeout;
const asked: { readonly path: string; readonly key: string; readonly body: Buffer }[] = [];

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const environment = (): Record<string, string> => ({
  MILLRACE_NATS_URL: broker.url,
  MILLRACE_NATS_SEED_FILE: broker.seedFile("admin"),
  MILLRACE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  MILLRACE_API_KEY: "mr_test",
});

/** In this process: the same words and environment, without the half second of a start. */
async function run(words: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  for (const [name, value] of Object.entries({ ...environment(), ...env })) vi.stubEnv(name, value);
  let [out, err] = ["", ""];
  const spies = [
    vi.spyOn(console, "log").mockImplementation((line) => (out += `${line}\n`)),
    vi.spyOn(console, "error").mockImplementation((line) => (err += `${line}\n`)),
    vi.spyOn(process.stdout, "write").mockImplementation((part) => Boolean((out += part))),
    vi.spyOn(process.stderr, "write").mockImplementation((part) => Boolean((err += part))),
  ];
  try {
    const code = await runProgram(words);
    return { code, out, err };
  } finally {
    for (const spy of spies) spy.mockRestore();
    vi.unstubAllEnvs();
  }
}

/** In a process of its own. */
async function start(words: readonly string[]): Promise<Ran> {
  const child = spawn(process.execPath, ["--no-warnings", MAIN, ...words], {
    env: { PATH: process.env.PATH, ...environment() },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number]>,
  ]);
  return { code, out, err };
}

const connectAs = (user: "admin" | "gpu-worker"): Promise<Bus> =>
  connectBus({
    servers: [broker.url],
    name: `${user}-test`,
    seed: broker.seed(user),
    inboxPrefix: inboxPrefix(user),
    log: silent,
  });

function beat(): void {
  const device = { class: "emulated", name: "test", memorySource: "budget" } as const;
  const heartbeat: WorkerHeartbeat = {
    v: 1,
    id: "gpu-worker-1",
    role: "gpu-worker",
    incarnation: 1,
    beat: 1,
    state: "ready",
    device: { ...device, memoryTotalBytes: 2048, memoryFreeBytes: 1024 },
    progress: 0,
    inFlight: 0,
    backlogUs: 0,
    assignments: {},
    modelsRevision: 1,
    models: residents,
  };
  worker.publish(subjects.workerHeartbeat("gpu-worker-1"), encodeJson(heartbeat));
}

async function answer(request: IncomingMessage): Promise<{ status: number; value: unknown }> {
  const body = await buffer(request);
  const path = request.url ?? "";
  asked.push({ path, key: request.headers.authorization ?? "", body });
  if (path.startsWith("/v2/models/missing")) {
    return { status: 404, value: { error: "no model missing", code: "MODEL_NOT_FOUND" } };
  }
  if (path.endsWith("/infer")) {
    const outputs = [{ name: "y", datatype: "FP32", shape: [1, 2], data: [0.25, 0.75] }];
    return { status: 200, value: { model_name: "m", model_version: "1", outputs } };
  }
  const inputs = [{ name: "x", datatype: "FP32", shape: [-1, 2] }];
  const outputs = [{ name: "y", datatype: "FP32", shape: [-1, 2] }];
  return { status: 200, value: { name: "m", inputs, outputs, labels: ["no", "yes"] } };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-commands-"));
  tiny = join(directory, "tiny.onnx");
  await writeFile(tiny, benchModel("tiny").file);
  broker = await startBroker({ directory });
  admin = await connectAs("admin");
  worker = await connectAs("gpu-worker");
  store = await openStore(admin.connection, { create: true });
  beats = setInterval(beat, 50);
  server = createServer((request, response) => {
    void answer(request).then(({ status, value }) =>
      response.writeHead(status).end(JSON.stringify(value)),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  clearInterval(beats);
  server.close();
  await Promise.all([admin.drain(), worker.drain()]);
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

describe("model", () => {
  test("push refuses a model without provenance, and writes nothing", async () => {
    const { code, err } = await run(["model", "push", tiny, "--name", "bare", "--source", "x"]);
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/upstream name.*licence.*PROVENANCE_MISSING/),
    });
    expect(err).toContain("--upstream-name");
    const objects = await admin.connection.request("$JS.API.STREAM.INFO.OBJ_mr_blobs");
    expect(objects.json<{ state: { messages: number } }>().state.messages).toBe(0);
  });

  test("push refuses what is no model", async () => {
    const broken = join(directory, "broken.onnx");
    await writeFile(broken, "not a model");
    const { code, err } = await run(["model", "push", broken, "--name", "b", ...PROVENANCE]);
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("MODEL_CORRUPT") });
    expect(await store.registry.get("b")).toEqual({ ok: true, value: undefined });
  });

  test("push stores, waits for a device, and the rest of the commands follow", async () => {
    residents = [{ ref: "tiny@1", state: "ready", bytes: 20_000 }];
    const first = await run(["model", "push", tiny, "--name", "tiny", ...PROVENANCE]);
    expect(first).toMatchObject({ code: 0, out: "tiny@1 is registered and active\n" });
    expect(first.err).toContain("tiny@1 is ready on gpu-worker-1");

    const again = await run(["model", "push", tiny, "--name", "tiny", ...PROVENANCE]);
    expect(again.out).toBe("tiny@1 is this model already: nothing was stored\n");
    expect(again.code).toBe(0);

    residents = [{ ref: "tiny@2", state: "ready", bytes: 20_000 }];
    const labels = ["--labels", "a,b", "--max-batch", "16"];
    const second = await run(["model", "push", tiny, "--name", "tiny", ...PROVENANCE, ...labels]);
    expect(second).toMatchObject({ code: 0, out: "tiny@2 is registered and active\n" });

    const list = await run(["model", "list"]);
    expect(list.out).toMatch(/^MODEL.*\ntiny@2 +loaded +2 +.* 16 +MIT +tiny\n$/);
    const show = await run(["model", "show", "tiny"]);
    expect(show.out).toMatch(/inputs +x FP32 \[-1,64\]/);
    expect(show.out).toMatch(/\n2 +active .*\n1 +previous /);

    residents = [{ ref: "tiny@1", state: "ready", bytes: 20_000 }];
    const back = await run(["model", "rollback", "tiny"]);
    expect(back).toMatchObject({ code: 0, out: "tiny@1 is active\n" });
  });

  test("the active version stays, another can go, and the blob only with the last", async () => {
    const refused = await run(["model", "remove", "tiny@1"]);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("tiny@1 is active") });
    const version = await run(["model", "remove", "tiny@2"]);
    expect(version.out).toBe("tiny@2 is removed\n");
    const whole = await run(["model", "remove", "tiny"]);
    expect(whole).toMatchObject({ code: 2, err: expect.stringContaining("--yes") });
    const removed = await run(["model", "remove", "tiny", "--yes"]);
    expect(removed.out).toBe("tiny is removed, and its file\n");
    expect((await run(["model", "list", "--json"])).out).toBe("[]\n");
    const gone = await run(["model", "show", "tiny"]);
    expect(gone).toMatchObject({ code: 1, err: expect.stringContaining("model list") });
  });

  test("push stores its file again where a removal took it before it was registered", async () => {
    const taken: string[] = [];
    const update: Store["registry"]["update"] = async (name, change) => {
      const blobs = await store.blobs.list();
      for (const blob of blobs.ok ? blobs.value : []) {
        await store.blobs.remove(blob);
        taken.push(blob.digest);
      }
      return store.registry.update(name, change);
    };
    const get: Store["registry"]["get"] = (name) => store.registry.get(name);
    const raced = { blobs: store.blobs, registry: { get, update } };
    const provenance = { source: "a test", upstreamName: "tiny", licence: "MIT" };
    await pushModel(raced, { name: "raced", file: tiny, provenance }, () => undefined);
    expect(taken).toHaveLength(1);
    expect((await store.blobs.read(String(taken[0]))).ok).toBe(true);
    const removed = await run(["model", "remove", "raced", "--yes"]);
    expect(removed.out).toBe("raced is removed, and its file\n");
  });

  test("a device that fails is told with its reason", async () => {
    const error = { code: "OUT_OF_MEMORY", message: "no room for 20 KB" };
    residents = [{ ref: "full@1", state: "failed", bytes: 0, error }];
    const { code, err } = await run(["model", "push", tiny, "--name", "full", ...PROVENANCE]);
    expect(code).toBe(1);
    expect(err).toContain("gpu-worker-1: no room for 20 KB (OUT_OF_MEMORY)");
    expect(err).toContain("model rollback");
  });

  test("unload and load turn a model off and on", async () => {
    expect((await run(["model", "unload", "full"])).code).toBe(0);
    const off = await store.registry.get("full");
    expect(off).toMatchObject({ value: { loaded: false } });
    expect((await run(["model", "list"])).out).toContain("unloaded");
    expect((await run(["model", "load", "full", "--no-wait"])).code).toBe(0);
    expect(await store.registry.get("full")).toMatchObject({ value: { loaded: true } });
  });
});

describe("status", () => {
  test("shows who speaks, as a table and as JSON", async () => {
    const table = await start(["status"]);
    expect(table.code).toBe(0);
    expect(table.out).toContain("gpu-worker-1  emulated: test");
    const view = JSON.parse((await run(["status", "--json"])).out) as { workers: unknown[] };
    expect(view.workers).toHaveLength(1);
  });

  test("leaves nothing that listens to the connection, however often it is read", async () => {
    const listening = vi.spyOn(admin.connection, "status");
    for (let times = 0; times < 2; times++) {
      const { workers } = await readCluster(admin, store.registry);
      expect(workers).toHaveLength(1);
    }
    expect(listening).not.toHaveBeenCalled();
    listening.mockRestore();
  });
});

describe("infer", () => {
  test("prints the labels, and the JSON on request", async () => {
    const input = join(directory, "input.json");
    await writeFile(input, "[1, 2]");
    const words = ["infer", "m@1", "--json", input, "--priority", "realtime"];
    const { code, out } = await run(words);
    expect({ code, out }).toEqual({
      code: 0,
      out: "m@1\n  y FP32 [1,2]\n    yes 75.0 %   no 25.0 %\n",
    });
    const sent = asked.at(-1);
    expect(sent).toMatchObject({ path: "/v2/models/m/versions/1/infer", key: "Bearer mr_test" });
    expect(JSON.parse(String(sent?.body))).toEqual({
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] }],
      parameters: { timeout: 10_000_000, priority: "realtime" },
    });
    const raw = await run([...words, "--raw"]);
    expect(JSON.parse(raw.out)).toMatchObject({ model_name: "m" });
  });

  test("passes on what the ingress says, with a remedy", async () => {
    const { code, err } = await run(["infer", "missing", "--text", "x"]);
    expect({ code, err }).toEqual({
      code: 1,
      err: "error: no model missing (MODEL_NOT_FOUND)\nsee `millrace model list`\n",
    });
  });

  test("wants one kind of input", async () => {
    const { code, err } = await run(["infer", "m"]);
    expect(code).toBe(2);
    expect(err).toContain("--json, --input, --image and --text");
  });
});

describe("without a cluster", () => {
  test("what is missing and how to start it is said at once", async () => {
    const startMs = performance.now();
    const nats = await run(["status"], { MILLRACE_NATS_URL: "nats://127.0.0.1:9" });
    expect(nats).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no cluster at nats:\/\/127\.0\.0\.1:9.*\n.*npm run up/),
    });
    const all = "nats://127.0.0.1:9,nats://127.0.0.1:10,nats://127.0.0.1:11";
    const three = await run(["model", "push-examples"], { MILLRACE_NATS_URL: all });
    expect(three).toMatchObject({ code: 1, err: expect.stringContaining(`no cluster at ${all}`) });
    const http = await run(["infer", "m", "--text", "x"], { MILLRACE_URL: "http://127.0.0.1:9" });
    expect(http).toMatchObject({ code: 1, err: expect.stringContaining("npm run up") });
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  test("the cluster of a folder is found by the folder", async () => {
    const folder = join(directory, "elsewhere");
    const { MILLRACE_NATS_URL: natsUrl, MILLRACE_NATS_SEED_FILE: seedFile } = environment();
    const state = { url: "http://127.0.0.1:9", natsUrl, seedFile, pid: process.pid };
    await mkdir(folder);
    await writeFile(join(folder, "state.json"), JSON.stringify(state));
    const unset = { MILLRACE_NATS_URL: "", MILLRACE_NATS_SEED_FILE: "", MILLRACE_DIRECTORY: "" };
    const byOption = await run(["status", "--directory", folder], unset);
    expect(byOption).toMatchObject({ code: 0, out: expect.stringContaining("gpu-worker-1") });
    const byVariable = await run(["status"], { ...unset, MILLRACE_DIRECTORY: folder });
    expect(byVariable).toMatchObject({ code: 0, out: expect.stringContaining("gpu-worker-1") });
    const key = await run(["key", "create", "--directory", folder], unset);
    expect(key).toMatchObject({ code: 0, err: expect.stringContaining(folder) });
  });

  test("a key that NATS refuses is named", async () => {
    const seedFile = broker.seedFile("sysmon");
    const foreign = await run(["status"], { MILLRACE_NATS_SEED_FILE: seedFile });
    expect(foreign.code).toBe(1);
    const wrong = join(directory, "wrong.nk");
    await writeFile(wrong, "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4");
    const { code, err } = await run(["status"], { MILLRACE_NATS_SEED_FILE: wrong });
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(wrong) });
  });

  test("wrong words are wrong usage", async () => {
    const wrong = await start(["modle"]);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("--help") });
    const help = await run(["--help"]);
    expect(help).toMatchObject({ code: 0, out: expect.stringContaining("MILLRACE_URL") });
  });
});
