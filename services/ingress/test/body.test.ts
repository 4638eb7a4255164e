/** Bodies of requests as they come over a connection: in one piece, in many, or not to the end. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, test, vi } from "vitest";
import { BodyReader } from "../src/body.ts";
import { listen } from "../src/http-server.ts";
import { replyDocument } from "../src/reply.ts";

const HEAD = "POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: ";

const soon = (check: () => void): Promise<void> => vi.waitFor(check, 10_000);

async function serve(bodyBytesMax = 1_000_000) {
  const bodies = new BodyReader({ bodyBytesMax, readingBytesMax: 2 * bodyBytesMax });
  const read: string[] = [];
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    connectionsMax: 10,
    arrivalMs: 5_000,
    gone: () => undefined,
    refused: () => ["Millrace-Request-Id", "ingress-1-1"],
    handle: (request, reply) =>
      bodies.read(request, (body) => {
        read.push(body.ok ? Buffer.from(body.value).toString("latin1") : body.error.code);
        replyDocument(reply, { length: read.at(-1)?.length });
      }),
  });
  const open = (): Socket => connect({ port: listener.port, host: "127.0.0.1", noDelay: true });
  const socket = open();
  await once(socket, "connect");
  let answered = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answered += text));
  const close = async (): Promise<void> => {
    socket.destroy();
    await listener[Symbol.asyncDispose]();
  };
  return { bodies, read, socket, open, answers: () => answered, [Symbol.asyncDispose]: close };
}

test("bodies of one connection come out whole and in order, however they are cut", async () => {
  await using served = await serve();
  const { bodies, read, socket } = served;
  socket.write(`${HEAD}3\r\n\r\none`);
  await soon(() => expect(read).toEqual(["one"]));
  const long = "0123456789".repeat(30_000);
  socket.write(`${HEAD}${long.length}\r\n\r\n`);
  for (let at = 0; at < long.length; at += 100_000) {
    await soon(() => expect(bodies.bytes).toBe(at));
    socket.write(long.slice(at, at + 100_000));
  }
  await soon(() => expect(read[1] === long).toBe(true));
  socket.write(`${HEAD}3\r\n\r\ntwo${HEAD}0\r\n\r\n${HEAD}5\r\n\r\nthree`);
  await soon(() => expect(read.slice(2)).toEqual(["two", "", "three"]));
  await soon(() => expect(served.answers().split("HTTP/1.1 200").length - 1).toBe(5));
  expect(bodies.bytes).toBe(0);
});

test("a chunked body comes out whole, and is no larger for having many chunks", async () => {
  await using served = await serve(4_000_000);
  const { bodies, read, socket } = served;
  const chunk = "1\r\nx\r\n";
  const CHUNKS = 300_000;
  socket.write("POST /x HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n");
  socket.write(chunk);
  await soon(() => expect(bodies.bytes).toBe(1));
  const before = process.memoryUsage().heapUsed;
  socket.write(chunk.repeat(CHUNKS - 1));
  await soon(() => expect(bodies.bytes).toBe(CHUNKS));
  // A buffer object for each would be 60 MB.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000);
  socket.write("0\r\n\r\n");
  await soon(() => expect(read[0]).toBe("x".repeat(CHUNKS)));
  expect(bodies.bytes).toBe(0);
});

test("a body whose connection breaks is not answered, and its bytes count no longer", async () => {
  await using served = await serve();
  const { bodies, read, socket } = served;
  socket.write(`${HEAD}1000\r\n\r\nsome`);
  await soon(() => expect(bodies.bytes).toBe(4));
  socket.destroy();
  await soon(() => expect(bodies.bytes).toBe(0));
  expect(read).toEqual([]);
});

test("what is only announced takes no room, and what comes is bounded at any byte", async () => {
  await using served = await serve();
  const { bodies, read, socket, open } = served;
  const others = Array.from({ length: 3 }, () => open());
  const piece = "x".repeat(100_000);
  for (const other of others) other.write(`${HEAD}1000000\r\n\r\nx`);
  await soon(() => expect(bodies.bytes).toBe(3));
  for (const other of others.slice(1)) other.write(piece.repeat(9));
  await soon(() => expect(bodies.bytes).toBe(1_800_003));
  socket.write(`${HEAD}900000\r\n\r\n${piece}`);
  await soon(() => expect(bodies.bytes).toBe(1_900_003));
  socket.write(piece);
  await soon(() => expect(read).toEqual(["OVERLOADED"]));
  expect(bodies.bytes).toBe(1_800_003);
  socket.write(`${piece.repeat(7)}${HEAD}3\r\n\r\none`);
  await soon(() => expect(read).toEqual(["OVERLOADED", "one"]));
  await soon(() => expect(served.answers().split("HTTP/1.1 200").length - 1).toBe(2));
  for (const other of others) other.destroy();
  await soon(() => expect(bodies.bytes).toBe(0));
});

test("a body of many megabytes comes out whole from buffers that grow with it", async () => {
  await using served = await serve(4_000_000);
  const { read, socket } = served;
  const text = Array.from({ length: 400_000 }, (_, at) => `${at}`.padStart(8, "0")).join("");
  socket.write(`${HEAD}${text.length}\r\n\r\n0`);
  await soon(() => expect(served.bodies.bytes).toBe(1));
  socket.write(text.slice(1));
  await soon(() => expect(read.length).toBe(1));
  expect(read[0] === text).toBe(true);
});
