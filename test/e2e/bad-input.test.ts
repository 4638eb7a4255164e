/**
 * What is wrong with a request, or with a model's file, is said with a code, in bounded time and
 * memory, and disturbs nobody else: good requests go on all the while.
 */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ELEMENT, encodeModel, model, node, valueInfo } from "@millrace/onnx";
import { ERRORS, type ErrorCode } from "@millrace/protocol";
import { present, seededRandom } from "@millrace/std";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { affine, ids2, lookup, rows4 } from "../support/built-models.ts";
import { type Cluster, EMULATED, startCluster } from "../support/cluster.ts";
import { millrace } from "../support/command.ts";
import { ask } from "../support/inference.ts";
import { Load } from "../support/load.ts";
import { figuresOf } from "../support/micro.ts";
import { type RawAnswer, rawBytes, type RawRequest, sendRaw } from "../support/raw-http.ts";

const BODY_BYTES_MAX = 256 * 1024;
const MIB = 1024 * 1024;
/** What an ingress may take as a whole, much of it slack of its heap; it is sent twice as much. */
const RESIDENT_BYTES_MAX = 448 * MIB;
const WORKERS = ["gpu-worker-1", "cpu-worker-1"] as const;
const INFER = "/v2/models/double/infer";

let cluster: Cluster;
let directory: string;
/** Good requests, asked from the first test to the last. */
let load: Load;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-bad-"));
  cluster = await startCluster({
    env: { ...EMULATED, ingress: { MILLRACE_BODY_BYTES_MAX: String(BODY_BYTES_MAX) } },
    models: [
      affine("double", { factor: 2, offset: 1 }),
      lookup("table", { size: 100, factor: 10 }),
    ],
  });
  load = new Load({
    target: cluster,
    perSecond: 50,
    timeoutMs: 5_000,
    question: (number) => {
      const values = [number, 0, -number, 1];
      const expected = values.map((value) => 2 * value + 1);
      return { model: "double", inputs: [rows4(values)], expected: () => expected };
    },
  });
});

afterAll(async () => {
  await load?.stop();
  await cluster?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const send = (request: RawRequest, after: "wait" | "close" = "wait"): Promise<RawAnswer> => {
  const headers = { Authorization: `Bearer ${cluster.key}`, ...request.headers };
  return sendRaw(cluster.port, rawBytes({ ...request, headers }), after);
};

/** The status that the catalogue has for the code. */
const refused = (code: ErrorCode): RawAnswer => ({ status: ERRORS[code].status, code });

const input = { name: "x", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] };
/** One row more than the model takes. */
const ROWS_33 = Array.from({ length: 33 * 4 }, () => 0);
const only = (changes: object): string => JSON.stringify({ inputs: [{ ...input, ...changes }] });
const also = (more: object): string => JSON.stringify({ inputs: [input], ...more });

/** JSON, and bytes that it announces behind it. */
function binary(shape: readonly number[], announced: number, sent: number): RawRequest {
  const tensor = {
    name: "x",
    datatype: "FP32",
    shape,
    parameters: { binary_data_size: announced },
  };
  const json = JSON.stringify({ inputs: [tensor] });
  return {
    path: INFER,
    headers: { "Inference-Header-Content-Length": String(json.length) },
    body: Buffer.concat([Buffer.from(json), Buffer.alloc(sent)]),
  };
}

describe("a request is refused for", () => {
  const bodies: readonly (readonly [string, string, ErrorCode])[] = [
    ["no body", "", "INVALID_JSON"],
    ["a body that is not JSON", "x=1", "INVALID_JSON"],
    ["JSON that ends early", '{"inputs":[', "INVALID_JSON"],
    ["JSON that is nested without end", "[".repeat(100_000), "INVALID_JSON"],
    ["JSON of another kind", "[1]", "INVALID_REQUEST"],
    ["no inputs", "{}", "INVALID_REQUEST"],
    ["a missing input", '{"inputs":[]}', "MISSING_INPUT"],
    ["an unknown input", only({ name: "z" }), "UNKNOWN_INPUT"],
    ["an input given twice", JSON.stringify({ inputs: [input, input] }), "DUPLICATE_INPUT"],
    ["an unknown output", also({ outputs: [{ name: "z" }] }), "UNKNOWN_OUTPUT"],
    ["another datatype", only({ datatype: "INT64" }), "WRONG_DATATYPE"],
    ["no datatype", only({ datatype: undefined }), "WRONG_DATATYPE"],
    ["another rank", only({ shape: [4] }), "WRONG_SHAPE"],
    ["another width", only({ shape: [1, 5], data: [1, 2, 3, 4, 5] }), "WRONG_SHAPE"],
    ["a negative dimension", only({ shape: [-1, 4] }), "WRONG_SHAPE"],
    ["a dimension beyond all memory", only({ shape: [2 ** 40, 4] }), "WRONG_SHAPE"],
    ["fewer values than the shape says", only({ data: [1, 2, 3] }), "WRONG_SHAPE"],
    ["a value of another kind", only({ data: [1, 2, 3, "4"] }), "WRONG_VALUE"],
    ["more rows than a batch has", only({ shape: [33, 4], data: ROWS_33 }), "BATCH_TOO_LARGE"],
    ["an unknown priority", also({ parameters: { priority: "urgent" } }), "INVALID_PARAMETER"],
    ["a deadline in the past", also({ parameters: { timeout: -1 } }), "INVALID_PARAMETER"],
    ["what is not supported", also({ parameters: { sequence_id: 1 } }), "UNSUPPORTED"],
  ];
  test.each(bodies)("%s", async (_what, body, code) => {
    expect(await send({ path: INFER, body })).toEqual(refused(code));
  });

  test("fewer bytes than its shape says, or than it announces", async () => {
    expect(await send(binary([1, 4], 12, 12))).toEqual(refused("WRONG_BYTE_COUNT"));
    expect(await send(binary([1, 4], 16, 12))).toEqual(refused("TRUNCATED_BODY"));
    expect(await send(binary([1, 4], 16, 20))).toEqual(refused("WRONG_BYTE_COUNT"));
    const headers = { "Inference-Header-Content-Length": "1000" };
    const beyond = await send({ path: INFER, headers, body: only({}) });
    expect(beyond).toEqual(refused("TRUNCATED_BODY"));
  });

  test("a body that ends before its length", async () => {
    const headers = { "Content-Length": "1000" };
    const answer = await send({ path: INFER, headers, body: only({}) }, "close");
    expect(answer).toEqual(refused("TRUNCATED_BODY"));
  });

  test("a body that is too large, announced or not", async () => {
    const body = Buffer.alloc(BODY_BYTES_MAX + 1, " ");
    expect(await send({ path: INFER, body })).toEqual(refused("BODY_TOO_LARGE"));
    const announced = { "Content-Length": "999999999999" };
    expect(await send({ path: INFER, headers: announced })).toEqual(refused("BODY_TOO_LARGE"));
    const chunk = `1000\r\n${" ".repeat(0x1000)}\r\n`.repeat(BODY_BYTES_MAX / 0x1000 + 1);
    const headers = { "Transfer-Encoding": "chunked" };
    const chunked = await send({ path: INFER, headers, body: `${chunk}0\r\n\r\n` });
    expect(chunked).toEqual(refused("BODY_TOO_LARGE"));
  });

  test("a body that was compressed", async () => {
    const headers = { "Content-Encoding": "gzip" };
    const body = gzipSync(Buffer.alloc(64 * MIB));
    expect(await send({ path: INFER, headers, body })).toEqual(refused("UNSUPPORTED_ENCODING"));
  });

  test("no key, or one that is not known", async () => {
    const bytes = rawBytes({ path: INFER, body: only({}) });
    expect(await sendRaw(cluster.port, bytes)).toEqual(refused("UNAUTHENTICATED"));
    const headers = { Authorization: `Bearer mr_0123abcd_${"x".repeat(43)}` };
    expect(await send({ path: INFER, headers })).toEqual(refused("UNAUTHENTICATED"));
  });

  const paths: readonly (readonly [string, ErrorCode])[] = [
    ["/v2/models/nothing/infer", "MODEL_NOT_FOUND"],
    ["/v2/models/double/versions/9/infer", "VERSION_NOT_FOUND"],
    ["/v2/models/double/versions/latest/infer", "VERSION_NOT_FOUND"],
    ["/v2/models/double/generate", "ROUTE_NOT_FOUND"],
    ["/v2/models/double", "METHOD_NOT_ALLOWED"],
  ];
  test.each(paths)("the path %s", async (path, code) => {
    expect(await send({ path, body: only({}) })).toEqual(refused(code));
  });

  const names = [".", "..", "*", ">", "a.b", "double.*", "double.>", "DOUBLE", "$SRV", "_INBOX"];
  const encoded = ["%2e", "%2a", "%3e", "a%20b", "a%0d%0aPUB%20mr.ticket.x%200", "%00", "%ff"];
  test.each([...names, ...encoded, "a".repeat(65)])("the model's name %s", async (name) => {
    const path = `/v2/models/${name}/infer`;
    expect(await send({ path, body: only({}) })).toEqual(refused("INVALID_NAME"));
  });

  test.each(["a b", "a\r\nb", "a\tb", "a\0b"])("a path that is not HTTP: %j", async (name) => {
    const answer = await send({ path: `/v2/models/${name}/infer`, body: only({}) });
    expect(answer).toEqual(refused("INVALID_REQUEST"));
  });

  test("an input that the model cannot run on", async () => {
    const answer = await ask(cluster, "table", [ids2([1, 100])]);
    expect(["INPUT_REJECTED", "EXECUTION_FAILED"]).toContain(answer.code);
  });

  test("a deadline that cannot be met", async () => {
    const answer = await ask(cluster, "double", [rows4([1, 2, 3, 4])], {
      parameters: { timeout: 1 },
    });
    expect(answer.status).toBe(503);
    expect(["DEADLINE_UNREACHABLE", "DEADLINE_EXCEEDED"]).toContain(answer.code);
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  });
});

test("whatever bytes come, the answer is an error of the client's, or a result", async () => {
  const good = Buffer.from(only({}));
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json({ maxDepth: 4 }),
    fc.json().map((json) => `{"inputs":${json}}`),
    // A good body with bytes changed.
    fc
      .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => {
        const changed = Buffer.from(good);
        for (const [at, byte] of changes) changed[at] = byte;
        return changed;
      }),
  );
  const length = fc.option(fc.nat(400), { nil: undefined });
  const property = fc.asyncProperty(body, length, async (bytes, header) => {
    const headers: Record<string, string> =
      header === undefined ? {} : { "Inference-Header-Content-Length": String(header) };
    const { status, code } = await send({ path: INFER, headers, body: bytes });
    if (status !== 200) expect([400, 413, 501]).toContain(status);
    if (status !== 200) expect(Object.keys(ERRORS)).toContain(code);
  });
  await fc.assert(property, { numRuns: 300, endOnFailure: true });
});

test("the ingress holds on to nothing that it refuses", { timeout: 60_000 }, async () => {
  const pid = present(cluster.pid("ingress-1"), "a running ingress");
  const noJson = Buffer.alloc(BODY_BYTES_MAX, "[");
  const values = Array.from({ length: 40_000 }, (_, at) => at);
  const manyRows = only({ shape: [values.length / 4, 4], data: values });
  let sentBytes = 0;
  while (sentBytes < 2 * RESIDENT_BYTES_MAX) {
    const bodies = [...Array.from({ length: 35 }, () => noJson), manyRows, manyRows];
    const answers = await Promise.all(bodies.map((body) => send({ path: INFER, body })));
    for (const body of bodies) sentBytes += body.length;
    expect(new Set(answers.map(({ code }) => code))).toEqual(
      new Set(["INVALID_JSON", "BATCH_TOO_LARGE"]),
    );
  }
  expect(residentBytes(pid)).toBeLessThan(RESIDENT_BYTES_MAX);
});

describe("a model is refused for", () => {
  const named = ["--name", "refused"];
  const provenance = ["--source", "a test", "--upstream-name", "refused", "--licence", "MIT"];

  async function push(file: Uint8Array, words: readonly string[]): Promise<string> {
    const path = join(directory, "model.onnx");
    await writeFile(path, file);
    const { code, err } = await millrace(cluster, ["model", "push", path, ...words]);
    expect(code).toBeGreaterThan(0);
    const response = await cluster.fetch("/v2/models/refused");
    expect(response.status).toBe(404);
    return err;
  }

  const { file } = affine("refused", { factor: 1, offset: 1 });

  test.each([
    ["no bytes", new Uint8Array(0)],
    ["bytes of something else", seededBytes(10_000)],
    ["a file that ends early", file.subarray(0, file.length / 2)],
  ])("%s", async (_what, bytes) => {
    expect(await push(bytes, [...named, ...provenance])).toContain("MODEL_CORRUPT");
  });

  test("an operator that onnxruntime does not have", async () => {
    const onnx = model({
      node: [node("Conjure", ["x"], ["y"])],
      input: [valueInfo("x", ELEMENT.FLOAT, ["batch", 4])],
      output: [valueInfo("y", ELEMENT.FLOAT, ["batch", 4])],
    });
    const err = await push(encodeModel(onnx), [...named, ...provenance]);
    expect(err).toContain("MODEL_UNSUPPORTED");
    expect(err).toContain("Conjure");
  });

  test("provenance that is missing", async () => {
    expect(await push(file, [...named, "--source", "a test"])).toContain("PROVENANCE_MISSING");
  });

  test.each(["a.b", "*", ">", "a b", "A", ""])("the name %j", async (name) => {
    expect(await push(file, ["--name", name, ...provenance])).toContain("name");
  });
});

test("good requests went on all the while", async () => {
  await load.stop();
  expect(load.entries.length).toBeGreaterThan(100);
  expect(load.troubles).toEqual([]);
});

test("a client that goes away leaves nothing open", async () => {
  const isOpen = async (count: number): Promise<boolean> => {
    const { data } = await figuresOf(cluster.bus, "ingress", "ingress-1");
    return data?.open === count && (count > 0 || data?.openBytes === 0);
  };
  const leaving = new AbortController();
  for (const id of WORKERS) cluster.kill(id, "SIGSTOP");
  try {
    const asked = ask(cluster, "table", [ids2([1, 2])], { signal: leaving.signal });
    await Promise.all([
      expect(asked).rejects.toThrow("abort"),
      cluster.until("the request", () => isOpen(1)).then(() => leaving.abort()),
    ]);
    await cluster.until("nothing to be open", () => isOpen(0));
  } finally {
    for (const id of WORKERS) cluster.kill(id, "SIGCONT");
  }
});

function residentBytes(pid: number): number {
  const output = execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" });
  return Number(output.trim()) * 1024;
}

function seededBytes(length: number): Uint8Array {
  const random = seededRandom(1);
  return Uint8Array.from({ length }, () => random.below(256));
}
