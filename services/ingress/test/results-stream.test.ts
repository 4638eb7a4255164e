/** The results of a job, to clients that read them and to one that does not. */

import { createServer, IncomingMessage, type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { JobRecord } from "@millrace/protocol";
import { ok } from "@millrace/std";
import { afterEach, expect, test, vi } from "vitest";
import { ResultsStream } from "../src/jobs/results-stream.ts";
import { Reply } from "../src/reply.ts";

const CHUNKS = 40;
const PADDING = "x".repeat(1024 * 1024);
/** In all, more than the kernel keeps of what nobody reads. */
const linesOf = (chunk: number): Uint8Array =>
  Buffer.from(`{"item":${chunk},"output":"${PADDING}"}\n`);

const record = {
  tenant: "acme",
  id: "job-1",
  generation: 1,
  state: "done",
  items: CHUNKS,
  chunks: CHUNKS,
  finished: `0-${CHUNKS - 1}`,
  finishedItems: CHUNKS,
} as unknown as JobRecord;

let server: Server | undefined;
let client: Socket | undefined;
afterEach(() => {
  client?.destroy();
  server?.close();
  server?.closeAllConnections();
});

/** @returns what became of the stream, once it was asked for. */
async function ask(stalledMsMax: number): Promise<{ reply: Reply; sent: Promise<unknown> }> {
  let reads = 0;
  const results = { read: () => Promise.resolve(ok(linesOf(reads++))) };
  const asked = Promise.withResolvers<{ reply: Reply; sent: Promise<unknown> }>();
  server = createServer({ IncomingMessage, ServerResponse: Reply as never }, (_, reply) => {
    const stream = new ResultsStream({ results } as never, record, reply as Reply, stalledMsMax);
    asked.resolve({ reply: reply as Reply, sent: stream.send() });
  });
  await new Promise<void>((listening) => void server?.listen(0, "127.0.0.1", listening));
  client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => undefined);
  client.write("GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  return asked.promise;
}

test("a client that reads slowly gets every line", async () => {
  const warned = vi.fn<() => void>();
  process.on("warning", warned);
  const { sent } = await ask(60_000);
  let bytes = 0;
  client?.on("data", (data) => (bytes += data.length));
  expect(await sent).toEqual(ok(undefined));
  const all = CHUNKS * linesOf(0).length;
  await vi.waitFor(() => expect(bytes).toBeGreaterThanOrEqual(all), 10_000);
  // Every time that it had to wait would leave a listener behind.
  expect(warned).not.toHaveBeenCalled();
  process.off("warning", warned);
});

test("a client that reads all the time is not taken to be gone, however slow it is", async () => {
  const { reply, sent } = await ask(500);
  let bytes = 0;
  const reading = setInterval(() => (bytes += (client?.read() as Buffer | null)?.length ?? 0), 5);
  await sleep(1_500);
  clearInterval(reading);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(CHUNKS * PADDING.length);
  expect(reply.destroyed).toBe(false);
  client?.on("data", () => undefined);
  expect(await sent).toEqual(ok(undefined));
});

test("a client that takes nothing for too long is no longer connected", async () => {
  const { reply, sent } = await ask(200);
  expect(await sent).toEqual(ok(undefined));
  expect(reply.destroyed).toBe(true);
});
