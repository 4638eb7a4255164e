/** Large responses that their clients do not take. */

import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { listen } from "../src/http-server.ts";
import { replyInference } from "../src/reply.ts";
import { Untaken } from "../src/untaken.ts";

const MIB = 1024 * 1024;
/** More than the kernel keeps of what nobody reads. */
const LARGE = 24 * MIB;
const TIME_MS = 1_000;

const soon = (check: () => void): Promise<void> => vi.waitFor(check, 10_000);

const clients: Socket[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

/** Answers with as many bytes as the path says; `at(path)` is the server's end of a connection. */
async function serve(untaken?: Untaken) {
  const sockets = new Map<string, Socket>();
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    connectionsMax: 10,
    arrivalMs: TIME_MS,
    gone: () => undefined,
    refused: () => ["Millrace-Request-Id", "ingress-1-1"],
    handle: (request, reply) => {
      const path = request.url ?? "";
      sockets.set(path, request.socket);
      if (untaken !== undefined) reply.untaken = untaken;
      const bytes = Number(path.split("/")[1]);
      replyInference(reply, { json: "{}", binary: [new Uint8Array(bytes)] }, []);
    },
  });
  const ask = (path: string): Socket => {
    const client = connect({ port: listener.port, host: "127.0.0.1" });
    client.on("error", () => undefined);
    client.write(`GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`);
    clients.push(client);
    return client;
  };
  const at = async (path: string): Promise<Socket> => {
    await soon(() => expect(sockets.has(path)).toBe(true));
    return sockets.get(path) as Socket;
  };
  return { ask, at, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

/** Reads until so many bytes have come. */
async function take(client: Socket, bytes: number): Promise<void> {
  let taken = 0;
  client.on("data", (data) => (taken += data.length));
  await soon(() => expect(taken).toBeGreaterThanOrEqual(bytes));
}

test("who does not take a large response in time is no longer connected", async () => {
  await using served = await serve();
  served.ask(`/${LARGE}`);
  const socket = await served.at(`/${LARGE}`);
  await soon(() => expect(socket.destroyed).toBe(true));
});

test("who takes it keeps the connection, and so does who got a small one", async () => {
  await using served = await serve();
  const reader = served.ask(`/${MIB}`);
  served.ask("/1000");
  await take(reader, MIB);
  await sleep(TIME_MS + 200);
  expect((await served.at(`/${MIB}`)).destroyed).toBe(false);
  expect((await served.at("/1000")).destroyed).toBe(false);
});

test("of too many bytes that nobody takes, those that have waited longest go", async () => {
  const untaken = new Untaken({ msMax: 60_000, bytesMax: 2.5 * LARGE });
  await using served = await serve(untaken);
  const [one, two, three] = [`/${LARGE}/1`, `/${LARGE}/2`, `/${LARGE}/3`];
  served.ask(one);
  const first = await served.at(one);
  served.ask(two);
  const second = await served.at(two);
  expect(first.destroyed).toBe(false);
  await take(served.ask(three), LARGE);
  expect(first.destroyed).toBe(true);
  expect(second.destroyed).toBe(false);
  await soon(() => expect(untaken.bytes).toBe(LARGE + 2));
  second.destroy();
  await soon(() => expect(untaken.bytes).toBe(0));
});

test("one that is larger than all may be is served nevertheless", async () => {
  const untaken = new Untaken({ msMax: 60_000, bytesMax: MIB });
  await using served = await serve(untaken);
  await take(served.ask(`/${LARGE}`), LARGE);
  await soon(() => expect(untaken.bytes).toBe(0));
});
