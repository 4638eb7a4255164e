/** What describes the server, its models and their figures. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXTENSIONS } from "@millrace/openinference";
import { blob, echo, row, Stand, until } from "./stand.ts";

let stand: Stand;

beforeAll(async () => {
  stand = await Stand.start({ models: [echo, blob] });
});

afterAll(async () => {
  await stand[Symbol.asyncDispose]();
});

const read = async (path: string): Promise<unknown> => (await stand.fetch(path)).json();

test("the server, with its extensions", async () => {
  expect(await read("/v2")).toEqual({ name: "millrace", version: "0.1.0", extensions: EXTENSIONS });
  expect(await read("/v2/health/live")).toEqual({ live: true });
  expect(await read("/v2/health/ready?verbose=1")).toEqual({ ready: true });
});

test("a model, with and without its version", async () => {
  const expected = {
    name: "echo",
    versions: ["1"],
    platform: "onnxruntime_onnx",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
  };
  expect(await read("/v2/models/echo")).toEqual(expected);
  expect(await read("/v2/models/echo/versions/1")).toEqual(expected);
});

test("its configuration", async () => {
  expect(await read("/v2/models/echo/config")).toMatchObject({
    max_batch_size: 8,
    input: [{ name: "x", data_type: "TYPE_FP32", dims: [4] }],
    output: [{ name: "y", data_type: "TYPE_FP32", dims: [4] }],
  });
});

test("its figures", async () => {
  await stand.infer("echo", row(1, 2, 3, 4));
  stand.onTicket = () => "INPUT_REJECTED";
  await stand.infer("echo", row(1, 2, 3, 4));
  stand.onTicket = ({ tensors }) => tensors;
  await stand.infer("echo", {});
  const { model_stats: stats } = (await read("/v2/models/echo/stats")) as {
    readonly model_stats: readonly unknown[];
  };
  expect(stats).toMatchObject([
    {
      name: "echo",
      version: "1",
      inference_count: 1,
      execution_count: 1,
      inference_stats: {
        success: { count: 1 },
        fail: { count: 2 },
        queue: { count: 1, ns: 100_000 },
        compute_infer: { count: 1, ns: 200_000 },
      },
      batch_stats: [{ batch_size: 1, compute_infer: { count: 1, ns: 200_000 } }],
    },
  ]);
});

describe("readiness of a model", () => {
  const status = async (): Promise<number> => (await stand.fetch("/v2/models/echo/ready")).status;

  test("comes from the workers' heartbeats", async () => {
    expect(await status()).toBe(503);
    stand.ready = ["echo@1"];
    stand.beat();
    const seen = { now: 0 };
    await until("a ready model", () => {
      void status().then((code) => (seen.now = code));
      return seen.now === 200;
    });
    const index = await stand.fetch("/v2/repository/index", { method: "POST", body: "{}" });
    expect(await index.json()).toEqual([
      { name: "blob", version: "1", state: "UNAVAILABLE", reason: "not in any device's memory" },
      { name: "echo", version: "1", state: "READY", reason: "" },
    ]);
  });

  test("stays while it is on no device, as a request would bring it back", async () => {
    stand.ready = [];
    stand.beat();
    await stand.worker.connection.flush();
    // The ingress has its message by now; it reads it in one of its next turns.
    for (let turn = 0; turn < 10; turn++) expect(await status()).toBe(200);
    stand.ready = ["echo@1"];
    stand.beat();
  });

  test("ends with unloading, and requests are refused", async () => {
    await stand.push(echo, { loaded: false });
    const seen = { now: 0 };
    await until("the unloading", () => {
      void status().then((code) => (seen.now = code));
      return seen.now === 503;
    });
    const response = await stand.infer("echo", row(1, 2, 3, 4));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "NOT_LOADED" });
    await stand.push(echo, { loaded: true });
    await until("the loading", () => {
      void status().then((code) => (seen.now = code));
      return seen.now === 200;
    });
    expect((await stand.infer("echo", row(1, 2, 3, 4))).status).toBe(200);
  });
});

describe("a new version", () => {
  const served = async (path = "echo"): Promise<string> => {
    const response = await stand.infer(path, row(1, 2, 3, 4));
    return ((await response.json()) as { readonly model_version: string }).model_version;
  };

  test("takes traffic when a worker holds it ready, and both answer by number", async () => {
    await stand.push({ ...echo, version: 2 });
    const seen = { now: 0 };
    await until("the version", () => {
      void stand.fetch("/v2/models/echo/versions/2").then(({ status }) => (seen.now = status));
      return seen.now === 200;
    });
    expect(await served()).toBe("1");
    expect(await served("echo/versions/2")).toBe("2");
    stand.ready = ["echo@1", "echo@2"];
    stand.beat();
    const version = { now: "" };
    await until("the switch", () => {
      void served().then((now) => (version.now = now));
      return version.now === "2";
    });
    expect(await served("echo/versions/1")).toBe("1");
    expect(stand.seen.map(({ model }) => model)).toContain("echo@2");
  });
});

test("`nats micro stats` shows true figures", async () => {
  const stats = await stand.stats();
  expect(stats).toMatchObject({ name: "ingress", metadata: { id: "ingress-1" } });
  // The second where the version was asked for before the registry's word had come.
  const lastError: unknown = expect.stringMatching(/^(NOT_LOADED|VERSION_NOT_FOUND)$/);
  expect(stats.endpoints[0]).toMatchObject({ name: "infer", last_error: lastError });
  expect(stats.endpoints[0]?.data).toMatchObject({
    open: 0,
    openBytes: 0,
    retries: 0,
    models: { "echo@1": { errors: 2, p50Us: expect.any(Number) } },
  });
});
