/** Durable jobs over HTTP on a real broker, with the test in the places of scheduler and worker. */

import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tmpdir } from "node:os";
import { JOB_ITEM_BYTES_MAX, type JobView } from "@millrace/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { firsts, type JobAnswer, jobCalls, linesOf, rows } from "./job-calls.ts";
import { echo, row, Stand } from "./stand.ts";

const SECRET = "a secret of the webhooks";
const half = {
  ...echo,
  name: "half",
  inputs: [{ name: "x", datatype: "FP16" as const, shape: [-1, 2] }],
  outputs: [{ name: "y", datatype: "FP16" as const, shape: [-1, 2] }],
};

let stand: Stand;
let otherKey: string;
const { call, submit, submitLines, ended, results } = jobCalls(() => stand);

beforeAll(async () => {
  const secretFile = join(tmpdir(), `millrace-secret-${process.pid}`);
  await writeFile(secretFile, SECRET);
  stand = await Stand.start({
    models: [echo, half],
    env: {
      MILLRACE_WEBHOOK_HOSTS: "hooks.example.com,http://127.0.0.1",
      MILLRACE_WEBHOOK_SECRET_FILE: secretFile,
      MILLRACE_JOB_SLOTS: "4",
      MILLRACE_JOB_UPLOAD_MIB: "2",
    },
  });
  otherKey = await stand.addKey("other");
  // The file of keys is read again a moment after it has changed.
  const headers = { authorization: `Bearer ${otherKey}` };
  while ((await call("/v2/jobs", { headers })).status !== 200) await sleep(20);
});

afterAll(() => stand?.[Symbol.asyncDispose]());

beforeEach(() => {
  stand.onTicket = ({ tensors }) => tensors;
});

describe("a job", () => {
  test("is accepted with 202, runs, and gives its results in the order of its items", async () => {
    const { status, body, headers } = await submit({ model: "echo", inputs: rows(150) });
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/v2/jobs/${body.id}`);
    expect(body).toMatchObject({ model: "echo", items: { total: 150 } });
    expect(await ended(body.id)).toMatchObject({
      state: "done",
      items: { total: 150, done: 150, failed: 0 },
    });
    const lines = await results(body.id);
    expect(lines.map((line) => line.item)).toEqual([...Array(150).keys()]);
    expect(firsts(lines)).toEqual([...Array(150).keys()]);
    // At the lowest priority.
    expect(stand.seen.at(-1)?.ticket.tier).toBe(2);
  });

  test("comes as JSON lines, with blank ones and a last one without its break", async () => {
    const text = `${linesOf(rows(70))}\r\n\n  \n${JSON.stringify(row(70, 0, 0, 0))}`;
    const { status, body } = await submitLines("model=echo&version=1", text);
    expect(status).toBe(202);
    expect(body).toMatchObject({ version: 1, items: { total: 71 } });
    await ended(body.id);
    expect(firsts(await results(body.id))).toEqual([...Array(71).keys()]);
  });

  test("comes from an object that was uploaded before, which belongs to its tenant", async () => {
    const text = linesOf(rows(5));
    const object = createHash("sha256").update(text).digest("hex");
    const put = await call(`/v2/objects/${object}`, { method: "PUT", body: text });
    expect(put).toMatchObject({ status: 201, body: { object, bytes: text.length } });
    const post = await call("/v2/objects", { method: "POST", body: text });
    expect(post).toMatchObject({ status: 201, body: { object } });
    const { status, body } = await submit({ model: "echo", source: { object } });
    expect(status).toBe(202);
    await ended(body.id);
    expect(await results(body.id)).toHaveLength(5);
    const foreign = await submit(
      { model: "echo", source: { object } },
      { authorization: `Bearer ${otherKey}` },
    );
    expect(foreign).toMatchObject({ status: 404, body: { code: "OBJECT_NOT_FOUND" } });
    const wrong = await call(`/v2/objects/${object}`, { method: "PUT", body: "something else" });
    expect(wrong).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
  });

  test("with bad items keeps the rest: each fails for a reason of its own", async () => {
    const text = [
      JSON.stringify(row(0, 1, 2, 3)),
      "{not json",
      '{"inputs":[{"name":"y","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}',
      JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [1] }] }),
      `{"pad":"${"x".repeat(JOB_ITEM_BYTES_MAX)}"}`,
      JSON.stringify(row(5, 1, 2, 3)),
    ].join("\n");
    const { status, body } = await submitLines("model=echo", text);
    expect(status).toBe(202);
    expect(await ended(body.id)).toMatchObject({ state: "done", items: { done: 2, failed: 4 } });
    const lines = await results(body.id);
    expect(lines.map((line) => line.error?.code)).toEqual([
      undefined,
      "INVALID_JSON",
      "UNKNOWN_INPUT",
      "WRONG_SHAPE",
      "BODY_TOO_LARGE",
      undefined,
    ]);
  });

  test("of which nothing succeeds has failed", async () => {
    const { body } = await submitLines("model=echo", "{}\n{}");
    expect(await ended(body.id)).toMatchObject({ state: "failed", items: { done: 0, failed: 2 } });
  });

  test("gives binary outputs in base64", async () => {
    const item = {
      ...row(1, 2, 3, 4),
      parameters: { binary_data_output: true },
    };
    const { body } = await submit({ model: "echo", inputs: [item] });
    await ended(body.id);
    const [line] = await results(body.id);
    const bytes = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer);
    expect(line?.binary).toEqual([bytes.toString("base64")]);
  });

  test("says of an item that its datatype has no JSON form", async () => {
    const input = { name: "x", datatype: "FP16", shape: [1, 2], data: [1, 2] };
    const { body } = await submit({ model: "half", inputs: [{ inputs: [input] }] });
    await ended(body.id);
    expect((await results(body.id))[0]?.error?.code).toBe("INVALID_REQUEST");
  });

  test("waits through refusals, and fails what a device fails of again and again", async () => {
    let refusals = 0;
    stand.onTicket = ({ tensors }) => {
      const first = new Float32Array(new Uint8Array(tensors[0]?.bytes ?? []).buffer)[0];
      if (first === 1) return "EXECUTION_FAILED";
      return refusals++ < 3 ? "QUEUE_FULL" : tensors;
    };
    const { body } = await submit({ model: "echo", inputs: rows(3) });
    expect(await ended(body.id)).toMatchObject({ state: "done", items: { done: 2, failed: 1 } });
    const lines = await results(body.id);
    expect(lines[1]?.error?.code).toBe("EXECUTION_FAILED");
    expect(refusals).toBeGreaterThan(3);
  });
});

describe("what is submitted again", () => {
  test("under the same key is the same job, and runs once", async () => {
    const headers = { "idempotency-key": "order 1" };
    const before = stand.seen.length;
    const first = await submit({ model: "echo", inputs: rows(10) }, headers);
    const second = await submit({ model: "echo", inputs: rows(10) }, headers);
    expect(second.status).toBe(202);
    expect(second.body.id).toBe(first.body.id);
    await ended(first.body.id);
    expect((await submit({ model: "echo", inputs: rows(10) }, headers)).body.state).toBe("done");
    expect(stand.seen.length - before).toBe(10);
    const other = await submit({ model: "echo", inputs: rows(9) }, headers);
    expect(other).toMatchObject({ status: 409, body: { code: "JOB_CONFLICT" } });
  });

  test("is another job for another tenant", async () => {
    const headers = { "idempotency-key": "order 2" };
    const own = await submit({ model: "echo", inputs: rows(1) }, headers);
    const authorization = `Bearer ${otherKey}`;
    const foreign = await submit({ model: "echo", inputs: rows(1) }, { ...headers, authorization });
    expect(foreign.body.id).not.toBe(own.body.id);
    const lines = { "idempotency-key": "order 3" };
    const one = await submitLines("model=echo", linesOf(rows(3)), lines);
    const two = await submitLines("model=echo", linesOf(rows(3)), lines);
    expect(two.body.id).toBe(one.body.id);
    expect((await submitLines("model=echo", linesOf(rows(4)), lines)).status).toBe(409);
  });

  test("at the same time is one job", async () => {
    const headers = { "idempotency-key": "at once" };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => submit({ model: "echo", inputs: rows(3) }, headers)),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    expect(accepted.length).toBeGreaterThan(0);
    expect(new Set(accepted.map(({ body }) => body.id)).size).toBe(1);
    // Who lost the race says so, and finds the job when it tries again.
    for (const { status } of answers) expect([202, 409]).toContain(status);
    const again = await submit({ model: "echo", inputs: rows(3) }, headers);
    expect(again.status).toBe(202);
    await ended(again.body.id);
    expect(await results(again.body.id)).toHaveLength(3);
  });
});

test("a job that is cancelled ends at once, and what had not run says so", async () => {
  stand.onTicket = () => undefined;
  const { body } = await submit({ model: "echo", inputs: rows(100) });
  const early = await call(`/v2/jobs/${body.id}/results`);
  expect(early).toMatchObject({ status: 409, body: { code: "JOB_NOT_ENDED" } });
  const cancelled = await call(`/v2/jobs/${body.id}/cancel`, { method: "POST" });
  expect(cancelled).toMatchObject({ status: 200, body: { state: "cancelled" } });
  const again = await call(`/v2/jobs/${body.id}`, { method: "DELETE" });
  expect(again.body.ended_at).toBe(cancelled.body.ended_at);
  const lines = await results(body.id);
  expect(lines).toHaveLength(100);
  expect(new Set(lines.map((line) => line.error?.code))).toEqual(new Set(["CANCELLED"]));
  // Its requests at the scheduler are withdrawn, and its chunks leave the queue.
  await expect.poll(() => stand.cancels.length, { timeout: 5_000 }).toBeGreaterThan(0);
});

test("tenants see their own jobs only (I2)", async () => {
  const { body } = await submit({ model: "echo", inputs: rows(1) });
  await ended(body.id);
  const headers = { authorization: `Bearer ${otherKey}` };
  for (const path of [`/v2/jobs/${body.id}`, `/v2/jobs/${body.id}/results`]) {
    expect(await call(path, { headers })).toMatchObject({
      status: 404,
      body: { code: "JOB_NOT_FOUND" },
    });
  }
  const cancel = await call(`/v2/jobs/${body.id}/cancel`, { method: "POST", headers });
  expect(cancel.status).toBe(404);
  const listed = await stand.fetch("/v2/jobs?limit=100", { headers });
  const ids = ((await listed.json()) as { jobs: JobView[] }).jobs.map(({ id }) => id);
  expect(ids).not.toContain(body.id);
});

test("the list comes in pages", async () => {
  const made: string[] = [];
  for (let at = 0; at < 3; at++)
    made.push((await submit({ model: "echo", inputs: rows(1) })).body.id);
  const seen: string[] = [];
  let after = "";
  do {
    const response = await stand.fetch(`/v2/jobs?limit=2${after && `&after=${after}`}`);
    const page = (await response.json()) as { jobs: JobView[]; next?: string };
    expect(page.jobs.length).toBeLessThanOrEqual(2);
    seen.push(...page.jobs.map(({ id }) => id));
    after = page.next ?? "";
  } while (after !== "");
  expect(seen).toEqual(expect.arrayContaining(made));
  expect(new Set(seen).size).toBe(seen.length);
});

describe("what is no job is refused by name:", () => {
  const cases: readonly (readonly [string, () => Promise<JobAnswer>, number, string])[] = [
    ["no inputs", () => submit({ model: "echo" }), 400, "INVALID_REQUEST"],
    ["an empty list", () => submit({ model: "echo", inputs: [] }), 400, "INVALID_REQUEST"],
    [
      "an unknown field",
      () => submit({ model: "echo", inputs: rows(1), x: 1 }),
      400,
      "INVALID_REQUEST",
    ],
    [
      "an unknown model",
      () => submit({ model: "nobody", inputs: rows(1) }),
      404,
      "MODEL_NOT_FOUND",
    ],
    [
      "a name that is none",
      () => submit({ model: "a.*", inputs: rows(1) }),
      400,
      "INVALID_REQUEST",
    ],
    [
      "an unknown version",
      () => submit({ model: "echo", version: 9, inputs: rows(1) }),
      404,
      "VERSION_NOT_FOUND",
    ],
    ["lines without a model", () => submitLines("", "{}"), 400, "INVALID_NAME"],
    ["no lines", () => submitLines("model=echo", "\n\n"), 400, "INVALID_REQUEST"],
    [
      "JSON lines as something else",
      () => call("/v2/jobs", { method: "POST", body: "{}\n{}" }),
      400,
      "INVALID_JSON",
    ],
    [
      "a key of control characters",
      () => submit({}, { "idempotency-key": "a\tb" }),
      400,
      "INVALID_REQUEST",
    ],
    [
      "an object that is not there",
      () => submit({ model: "echo", source: { object: "0".repeat(64) } }),
      404,
      "OBJECT_NOT_FOUND",
    ],
    [
      "an object that is too large",
      () => call("/v2/objects", { method: "POST", body: "x".repeat(3_000_000) }),
      413,
      "BODY_TOO_LARGE",
    ],
    [
      "lines that are too large together",
      () => submitLines("model=echo", "x".repeat(3_000_000)),
      413,
      "BODY_TOO_LARGE",
    ],
    [
      "a webhook elsewhere",
      () => submit({ model: "echo", inputs: rows(1), webhook: "https://evil.example/" }),
      400,
      "WEBHOOK_REFUSED",
    ],
    ["an unknown job", () => call("/v2/jobs/nobody"), 404, "JOB_NOT_FOUND"],
    ["a job that is no name", () => call("/v2/jobs/a.%3E"), 404, "JOB_NOT_FOUND"],
    ["an unknown route", () => call("/v2/jobs/a/b/c"), 404, "ROUTE_NOT_FOUND"],
    [
      "another method",
      () => call("/v2/jobs/a/results", { method: "DELETE" }),
      405,
      "METHOD_NOT_ALLOWED",
    ],
    ["no key", () => call("/v2/jobs", { headers: { authorization: "" } }), 401, "UNAUTHENTICATED"],
  ];
  test.each(cases)("%s", async (_what, ask, status, code) => {
    const answer = await ask();
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    expect(answer.headers.get("millrace-request-id")).toMatch(/^ingress-1-/);
    expect(answer.headers.get("allow")).toBe(status === 405 ? "GET" : null);
    expect(answer.body.error).toMatch(/\w{3}/);
  });
});

test("a webhook is sent once it has ended, signed, until it is taken", async () => {
  const received: { headers: Record<string, unknown>; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += String(piece)));
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      response.writeHead(received.length === 1 ? 500 : 204).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const webhook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const { body } = await submit({ model: "echo", inputs: rows(2), webhook });
  await expect.poll(() => received.length, { timeout: 8_000 }).toBe(2);
  const [first, second] = received;
  expect(first?.headers["millrace-event-id"]).toBe(second?.headers["millrace-event-id"]);
  expect(JSON.parse(second?.body ?? "")).toMatchObject({
    event: "job.ended",
    job: { id: body.id, state: "done" },
  });
  const timestamp = String(second?.headers["millrace-timestamp"]);
  const signature = createHmac("sha256", SECRET)
    .update(`${timestamp}.${second?.body}`)
    .digest("hex");
  expect(second?.headers["millrace-signature"]).toBe(`v1=${signature}`);
  await sleep(300);
  expect(received).toHaveLength(2);
  server.close();
});

test("an upload that breaks off leaves no job", async () => {
  const headers = { "idempotency-key": "broken", "content-type": "application/x-ndjson" };
  const abort = new AbortController();
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(Buffer.from(`${linesOf(rows(200))}\n`));
      await sleep(50);
      abort.abort();
    },
  });
  const init = {
    method: "POST",
    headers,
    body,
    duplex: "half",
    signal: abort.signal,
  } as RequestInit;
  await expect(stand.fetch("/v2/jobs?model=echo", init)).rejects.toThrow(/abort/i);
  const again = await submitLines("model=echo", linesOf(rows(2)), { "idempotency-key": "broken" });
  expect(again.status).toBe(202);
  await ended(again.body.id);
  expect(firsts(await results(again.body.id))).toEqual([0, 1]);
});
