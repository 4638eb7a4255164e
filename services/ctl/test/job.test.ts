/** `millrace job` against an ingress that is a few lines of HTTP. */

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { JobView } from "@millrace/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { runProgram } from "../src/program.ts";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly key: string | undefined;
  readonly body: string;
}

const job: JobView = {
  id: "j0mws85kj53be2befe6efb83a4edde",
  model: "digits",
  state: "done",
  items: { total: 3, done: 2, failed: 1 },
  created_at: "2026-01-01T00:00:00.000Z",
  ended_at: "2026-01-01T00:00:01.000Z",
};

let server: Server;
let directory: string;
let asked: Asked[] = [];
let answers: (readonly [status: number, body: unknown])[] = [];
let out: string[] = [];
let err: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "millrace-job-"));
  server = createServer((request: IncomingMessage, response) => {
    void text(request).then((body) => {
      const { method = "", url = "", headers } = request;
      asked.push({ method, url, key: headers["idempotency-key"]?.toString(), body });
      const [status, value] = answers.shift() ?? [200, job];
      response.writeHead(status).end(typeof value === "string" ? value : JSON.stringify(value));
      return undefined;
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  asked = [];
  answers = [];
  out = [];
  err = [];
  vi.stubEnv("MILLRACE_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("MILLRACE_API_KEY", "mr_a_b");
  vi.spyOn(console, "log").mockImplementation((line: string) => void out.push(line));
  vi.spyOn(console, "error").mockImplementation((line: string) => void err.push(line));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = 0;
});

test("a file is submitted again under the same key while nobody takes it", async () => {
  const file = join(directory, "rows.jsonl");
  await writeFile(file, '{"inputs": []}\n{"inputs": []}\n');
  answers = [
    [503, { error: "away", code: "DISCONNECTED" }],
    [202, { ...job, state: "queued", ended_at: undefined }],
  ];
  expect(await runProgram(["job", "submit", "digits@2", file])).toBe(0);
  expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
    "POST /v2/jobs?model=digits&version=2",
    "POST /v2/jobs?model=digits&version=2",
  ]);
  expect(asked[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
  expect(asked[1]?.key).toBe(asked[0]?.key);
  expect(asked[1]?.body).toBe('{"inputs": []}\n{"inputs": []}\n');
  expect(out).toEqual([`${job.id}  digits  queued: 2 done, 1 failed, of 3`]);
});

test("a refusal says what to do about it", async () => {
  answers = [[404, { error: "there is no job j1", code: "JOB_NOT_FOUND" }]];
  expect(await runProgram(["job", "status", "j1"])).toBe(1);
  expect(err.join()).toMatch(/there is no job j1 \(JOB_NOT_FOUND\)\n.*millrace job list/);
  answers = [
    [409, { error: "belongs to job k1, which was another submission", code: "JOB_CONFLICT" }],
  ];
  expect(await runProgram(["job", "submit", "digits", "--input", "{}", "--key", "a"])).toBe(1);
  expect(asked).toHaveLength(2);
});

test("wrong usage is refused before anything is asked", async () => {
  for (const words of [
    ["submit", "digits"],
    ["submit", "digits", "a.jsonl", "--input", "{}"],
    ["submit", "digits", "--input", "{nonsense"],
    ["submit", "no name", "--input", "{}"],
    ["list", "--limit", "0"],
    ["dead", "a.*"],
  ]) {
    expect(await runProgram(["job", ...words])).toBe(2);
  }
  expect(await runProgram(["job", "submit", "digits", join(directory, "missing.jsonl")])).toBe(1);
  expect(err.at(-1)).toMatch(/ENOENT.*missing\.jsonl/);
  expect(asked).toEqual([]);
});

test("jobs are listed in a table, cancelled, and a failed one fails the command", async () => {
  answers = [[200, { jobs: [job], next: job.id }]];
  expect(await runProgram(["job", "list", "--limit", "1"])).toBe(0);
  expect(out.join("\n")).toMatch(/ID .*MODEL .*STATE .*\nj0mws85k\S+ +digits +done +3 +2 +1/);
  expect(asked[0]?.url).toBe("/v2/jobs?limit=1");
  answers = [[200, { jobs: [] }]];
  await runProgram(["job", "list"]);
  expect(out.at(-1)).toBe("no jobs");
  answers = [[200, { ...job, state: "cancelled" }]];
  expect(await runProgram(["job", "cancel", job.id])).toBe(0);
  expect(asked.at(-1)).toMatchObject({ method: "POST", url: `/v2/jobs/${job.id}/cancel` });
  answers = [[200, { ...job, state: "failed" }]];
  expect(await runProgram(["job", "status", job.id, "--wait"])).toBe(1);
});
