/** The proxy between a client and a server of the test's own that speak lines of NATS. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Effect } from "../src/proxy/conditions.ts";
import { ProxyControl } from "../src/proxy/control.ts";
import { FaultProxy } from "../src/proxy/proxy.ts";

const TOKEN = "t".repeat(32);
const LONG_US = 60_000_000;

/** Both ends keep what they heard. */
interface End {
  readonly socket: Socket;
  heard: string;
}

let server: Server;
let proxy: FaultProxy;
let control: ProxyControl;
let brokers: End[];
let open: Socket[];

function endOf(socket: Socket): End {
  const end: End = { socket, heard: "" };
  open.push(socket);
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => (end.heard += chunk.toString("latin1")));
  return end;
}

beforeEach(async () => {
  [brokers, open] = [[], []];
  server = createServer((socket) => brokers.push(endOf(socket))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  proxy = await FaultProxy.start({
    v: 1,
    controlPort: 0,
    token: TOKEN,
    links: [{ member: "m", listens: [{ port: 0, upstream: { host: "127.0.0.1", port } }] }],
  });
  control = new ProxyControl({ controlPort: proxy.controlPort, token: TOKEN });
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const socket of open) socket.destroy();
  server.close();
});

async function until(condition: () => boolean, msMax = 3_000): Promise<void> {
  const lastMs = performance.now() + msMax;
  while (!condition()) {
    if (performance.now() > lastMs) throw new Error(`not within ${msMax} ms`);
    await sleep(2);
  }
}

/** A connection through the proxy, and its other end. */
async function dial(): Promise<{ readonly member: End; readonly broker: End }> {
  const before = brokers.length;
  const member = endOf(connect(proxy.ports("m")[0] ?? 0, "127.0.0.1"));
  await until(() => brokers.length > before);
  const broker = brokers.at(-1);
  if (broker === undefined) throw new Error("no other end");
  return { member, broker };
}

const begin = (effect: Effect, durationUs = LONG_US): Promise<void> =>
  control.begin({ id: "f", members: ["m"], effect, durationUs, seed: 1 });

const message = (subject: string, body: string): string =>
  `MSG ${subject} 1 ${body.length}\r\n${body}\r\n`;

test("without a fault everything passes both ways, and so do ends", async () => {
  const { member, broker } = await dial();
  broker.socket.write("INFO {}\r\n");
  member.socket.write("PUB mr.x 2\r\nhi\r\n");
  await until(() => member.heard === "INFO {}\r\n" && broker.heard === "PUB mr.x 2\r\nhi\r\n");
  member.socket.end("PING\r\n");
  await once(broker.socket, "end");
  expect(broker.heard).toMatch(/PING\r\n$/);
});

test("a member that is gone is gone for the broker within milliseconds", async () => {
  const { member, broker } = await dial();
  const beganMs = performance.now();
  member.socket.resetAndDestroy();
  await once(broker.socket, "close");
  expect(performance.now() - beganMs).toBeLessThan(500);
});

test("latency delays, keeps the order, and ends with its lease", async () => {
  const { member, broker } = await dial();
  await begin({ type: "delay", direction: "to", delayUs: 150_000, jitterUs: 50_000 }, 400_000);
  const beganMs = performance.now();
  for (let number = 0; number < 20; number++) broker.socket.write(`+${number}\r\n`);
  await until(() => member.heard.endsWith("+19\r\n"));
  expect(performance.now() - beganMs).toBeGreaterThan(145);
  expect(member.heard).toBe(Array.from({ length: 20 }, (_, number) => `+${number}\r\n`).join(""));
  await sleep(400);
  expect((await control.report())["m"]?.effects).toEqual([]);
});

test("a blackhole holds one direction, and what was sent arrives when it is over", async () => {
  const { member, broker } = await dial();
  await begin({ type: "hold", direction: "from" });
  member.socket.write("PING\r\n");
  broker.socket.write("PONG\r\n");
  await until(() => member.heard === "PONG\r\n");
  await sleep(50);
  expect(broker.heard).toBe("");
  await control.end("f");
  await until(() => broker.heard === "PING\r\n");
});

test("a blackhole holds back that the member is gone", async () => {
  const { member, broker } = await dial();
  await begin({ type: "hold", direction: "both" });
  member.socket.destroy();
  await sleep(80);
  expect(broker.socket.readableEnded || broker.socket.destroyed).toBe(false);
  await control.end("f");
  await until(() => broker.socket.readableEnded || broker.socket.destroyed);
});

test("a reset resets both sides, and the next connection passes", async () => {
  const { member, broker } = await dial();
  await begin({ type: "reset", everyUs: 0 });
  await Promise.all([once(member.socket, "close"), once(broker.socket, "close")]);
  const again = await dial();
  again.member.socket.write("PING\r\n");
  await until(() => again.broker.heard === "PING\r\n");
  expect((await control.report())["m"]?.resets).toBe(1);
});

test("a half-open connection tells nobody; a new one passes; its end is a reset", async () => {
  const { member, broker } = await dial();
  await begin({ type: "sever" });
  member.socket.write("PING\r\n");
  const again = await dial();
  again.member.socket.write("PING\r\n");
  await until(() => again.broker.heard === "PING\r\n");
  expect(broker.heard).toBe("");
  expect(member.socket.destroyed || broker.socket.destroyed).toBe(false);
  await control.end("f");
  await Promise.all([once(member.socket, "close"), once(broker.socket, "close")]);
});

test("a slow link passes its bytes a second, and the sender feels it", async () => {
  const { member, broker } = await dial();
  await begin({ type: "rate", direction: "from", bytesPerSecond: 20_000 });
  const beganMs = performance.now();
  member.socket.write(`PUB mr.x 5980\r\n${"x".repeat(5980)}\r\n`);
  await until(() => broker.heard.length >= 5_990);
  const tookMs = performance.now() - beganMs;
  expect(tookMs).toBeGreaterThan(250);
  expect(tookMs).toBeLessThan(1_500);
});

test("messages are lost whole, and only those of the subjects", async () => {
  const { member, broker } = await dial();
  await begin({ type: "lose", direction: "to", probability: 1, subject: "mr." });
  const kept = message("_INBOX.a", "kept");
  broker.socket.write(`${message("mr.a", "lost")}PING\r\n${kept}${message("mr.b", "lost")}`);
  await until(() => member.heard === `PING\r\n${kept}`);
  expect((await control.report())["m"]?.lost).toBe(2);
});

test("messages are repeated whole, from a fault that begins in the middle of one", async () => {
  const { member, broker } = await dial();
  const [first, second] = [message("mr.a", "first"), message("mr.a", "second")];
  broker.socket.write(first.slice(0, 14));
  await until(() => member.heard.length === 14);
  await begin({ type: "repeat", direction: "to", probability: 1, subject: "mr." });
  broker.socket.write(first.slice(14) + second);
  await until(() => member.heard === first + second + second);
  expect((await control.report())["m"]?.repeated).toBe(1);
});

test("a message is delivered after the next, or by itself when none comes", async () => {
  const { member, broker } = await dial();
  await begin({ type: "swap", direction: "to", probability: 1, subject: "mr.", waitUs: 60_000 });
  const [first, second] = [message("mr.a", "1"), message("mr.a", "2")];
  broker.socket.write(first + second);
  await until(() => member.heard === second + first);
  broker.socket.write(first);
  await until(() => member.heard === second + first + first);
  expect((await control.report())["m"]?.swapped).toBe(1);
});

test("the same seed loses the same messages", async () => {
  const kept: string[] = [];
  for (let run = 0; run < 2; run++) {
    await begin({ type: "lose", direction: "to", probability: 0.5, subject: "mr." });
    const { member, broker } = await dial();
    for (let number = 0; number < 40; number++) {
      broker.socket.write(message("mr.a", String(number)));
    }
    broker.socket.write("+END\r\n");
    await until(() => member.heard.endsWith("+END\r\n"));
    kept.push(member.heard);
    member.socket.destroy();
  }
  expect(kept[0]).toBe(kept[1]);
  expect(kept[0]?.split("MSG").length).toBeGreaterThan(5);
  expect(kept[0]?.split("MSG").length).toBeLessThan(36);
});

test("nobody without the token is heard, and a lease for nobody is refused", async () => {
  const stranger = new ProxyControl({ controlPort: proxy.controlPort, token: "x".repeat(32) });
  await expect(stranger.report()).rejects.toThrow("token");
  const effect = { type: "hold", direction: "both" } as const;
  const lease = { id: "g", members: ["nobody"], effect, durationUs: LONG_US, seed: 1 };
  await expect(control.begin(lease)).rejects.toThrow("nobody has no link here");
});

test("a path that is no text breaks its own request and no link", async () => {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const url = `http://127.0.0.1:${proxy.controlPort}/leases/%E0%A4%A`;
  await expect(fetch(url, { method: "DELETE", headers })).rejects.toThrow("fetch failed");
  expect(Object.keys(await control.report())).toEqual(["m"]);
});
