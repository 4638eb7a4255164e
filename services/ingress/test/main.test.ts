/** The ingress as a process: what it says of itself, and how it ends. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { echo, row, Stand } from "./stand.ts";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

const start = (env: Readonly<Record<string, string>>): ChildProcess =>
  spawn(process.execPath, [main], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("it serves, logs, shows its metrics, and drains on SIGTERM", async () => {
  await using stack = new AsyncDisposableStack();
  // Its own ingress is one more in the same cluster.
  const stand = stack.use(await Stand.start({ models: [echo] }));
  const metricsPort = await freePort();
  const child = start({
    MILLRACE_ID: "ingress-9",
    MILLRACE_NATS_URL: stand.broker.url,
    MILLRACE_NATS_SEED_FILE: stand.broker.seedFile("ingress"),
    MILLRACE_HTTP_PORT: "0",
    MILLRACE_METRICS_PORT: String(metricsPort),
    MILLRACE_API_KEYS_FILE: stand.keysFile,
    MILLRACE_LOG_LEVEL: "debug",
  });
  stack.defer(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout?.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr?.on("data", (data: Buffer) => (output += data.toString()));
  const exited = once(child, "exit");
  const said = (): Record<string, unknown>[] =>
    output
      .split("\n")
      // The last line may not be whole yet.
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const servingOn = (): unknown => said().find(({ msg }) => msg === "serving")?.["port"];
  while (servingOn() === undefined) {
    if (child.exitCode !== null) throw new Error(output);
    await sleep(20);
  }
  const headers = { authorization: `Bearer ${stand.key}` };
  const base = `http://127.0.0.1:${String(servingOn())}`;
  while (!(await fetch(`${base}/v2/health/ready`)).ok) await sleep(20);
  const infer = (body: unknown) =>
    fetch(`${base}/v2/models/echo/infer`, { method: "POST", headers, body: JSON.stringify(body) });
  const traced = "4bf92f3577b34da6a3ce929d0e0e4736";
  expect((await infer(row(1, 2, 3, 4))).status).toBe(200);
  const traceparent = `00-${traced}-00f067aa0ba902b7-01`;
  Object.assign(headers, { traceparent });
  const refused = await infer({});
  expect(refused.status).toBe(400);
  stand.onTicket = () => "INPUT_REJECTED";
  expect((await infer(row(1, 2, 3, 4))).status).toBe(400);
  Object.assign(headers, { traceparent: "", authorization: "" });
  const unknown = await infer({});
  expect(unknown.status).toBe(401);

  const at = `http://127.0.0.1:${metricsPort}`;
  expect(await (await fetch(`${at}/health`)).json()).toMatchObject({ ok: true });
  const metrics = await (await fetch(`${at}/metrics`)).text();
  const own = 'role="ingress",id="ingress-9"}';
  for (const line of [
    `request_seconds_count{model="echo@1",priority="standard",${own} 1`,
    `requests_total{model="echo@1",code="OK",${own} 1`,
    `requests_total{model="echo@1",code="INVALID_REQUEST",${own} 1`,
    `refusals_total{code="INVALID_REQUEST",${own} 1`,
    `retries_total{${own} 0`,
    `open_requests{${own} 0`,
  ]) {
    expect(metrics).toContain(`millrace_ingress_${line}`);
  }

  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  const logged = said();
  expect(logged.find(({ msg }) => msg === "served")).toMatchObject({
    level: "debug",
    request: expect.stringMatching(/^ingress-9-[0-9a-f]{8}-1$/),
    trace: expect.stringMatching(/^[0-9a-f]{32}$/),
    client: "test",
    model: "echo@1",
    worker: "gpu-worker-1",
    attempts: 1,
  });
  expect(logged.find(({ msg }) => msg === "failed")).toMatchObject({
    level: "warn",
    trace: traced,
    code: "INPUT_REJECTED",
  });
  expect(logged.filter(({ msg }) => msg === "refused")).toMatchObject([
    {
      level: "warn",
      request: refused.headers.get("millrace-request-id"),
      trace: traced,
      model: "echo@1",
      code: "INVALID_REQUEST",
    },
    {
      request: unknown.headers.get("millrace-request-id"),
      trace: expect.stringMatching(/^[0-9a-f]{32}$/),
      code: "UNAUTHENTICATED",
    },
  ]);
  expect(new Set(logged.map(({ trace }) => trace).filter(Boolean)).size).toBe(3);
});

test("it says what is wrong with its configuration, and exits with 78", async () => {
  const child = start({ MILLRACE_API_KEYS_FILE: "", MILLRACE_HTTP_PORT: "0" });
  let complaint = "";
  child.stderr?.on("data", (data: Buffer) => (complaint += data.toString()));
  expect(await once(child, "exit")).toEqual([78, null]);
  expect(complaint).toContain("MILLRACE_API_KEYS_FILE");
});
