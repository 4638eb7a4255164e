/** The bus under faults: servers killed, frozen and ending, and its own drain. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { present } from "@millrace/std";
import { expect, test } from "vitest";
import type { Bus } from "../src/index.ts";
import { connectTo, startServer } from "./server.ts";

const numbered = (at: number): Uint8Array => new Uint8Array(Uint32Array.of(at).buffer);
const numberOf = (payload: Uint8Array): number =>
  new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);

/** Resolves with the time at which the bus says so. */
const change = (bus: Bus, to: boolean): Promise<number> =>
  new Promise((resolve) => {
    bus.onConnection((connected) => {
      if (connected === to) resolve(performance.now());
    });
  });

test("no message is lost unnoticed when the server is killed and comes back", async () => {
  await using server = await startServer();
  await using receiver = await connectTo([server], { name: "receiver" });
  await using sender = await connectTo([server], { name: "sender" });
  const received = new Set<number>();
  receiver.subscribe("numbers", (payload) => received.add(numberOf(payload)));
  await receiver.connection.flush();
  const sent = new Map<number, { readonly accepted: boolean; readonly atMs: number }>();
  let next = 0;
  const sending = setInterval(() => {
    const accepted = sender.publish("numbers", numbered(next));
    sent.set(next++, { accepted, atMs: performance.now() });
  }, 1);
  const noticed = change(sender, false);
  // A subscription is there again once the server has answered after it.
  const listening = async (): Promise<number> => {
    await change(receiver, true);
    await receiver.connection.flush();
    return performance.now();
  };
  const back = Promise.all([change(sender, true), listening()]);
  await sleep(50);
  const killedAtMs = performance.now();
  server.signal("SIGKILL");
  const noticedAtMs = await noticed;
  await sleep(200);
  await server.restart();
  const upAtMs = performance.now();
  const [senderBackAtMs, listeningAtMs] = await back;
  await sleep(50);
  clearInterval(sending);
  await sender.connection.flush();
  await receiver.connection.flush();

  expect(Math.max(senderBackAtMs, listeningAtMs) - upAtMs).toBeLessThan(1000);
  expect(sender.counters.reconnects).toBe(1);
  const during = [...sent.values()].filter(
    ({ atMs }) => atMs > noticedAtMs && atMs < senderBackAtMs,
  );
  expect(during.length).toBeGreaterThan(50);
  expect(during.filter(({ accepted }) => accepted)).toEqual([]);
  // Only what was on its way when the server died may be missing.
  const lost = [...sent.keys()].filter((at) => {
    const { accepted, atMs } = present(sent.get(at), "a message that was sent");
    const onItsWay = atMs > killedAtMs - 20 && atMs <= noticedAtMs;
    const unheard = atMs >= senderBackAtMs && atMs <= listeningAtMs;
    return accepted !== received.has(at) && !onItsWay && !unheard;
  });
  expect(lost).toEqual([]);
  expect([...received].filter((at) => at > next - 20).length).toBeGreaterThan(10);
});

test("a frozen server is left for another one, even with full buffers", async () => {
  await using one = await startServer();
  await using two = await startServer();
  await using bus = await connectTo([one, two]);
  const first = bus.connection.getServer();
  const [frozen, other] = one.url.endsWith(first) ? [one, two] : [two, one];
  const back = change(bus, true);
  frozen.signal("SIGSTOP");
  const megabyte = new Uint8Array(1_000_000);
  const filling = setInterval(() => {
    for (let at = 0; at < 4; at++) bus.publish("fill", megabyte);
  }, 10);
  const frozenAtMs = performance.now();
  const backAtMs = await back;
  clearInterval(filling);
  expect(backAtMs - frozenAtMs).toBeLessThan(3000);
  expect(other.url.endsWith(bus.connection.getServer())).toBe(true);
});

test("a server that announces its end is left for another one", async () => {
  await using one = await startServer();
  await using two = await startServer();
  await using bus = await connectTo([one, two]);
  const [ending, other] = one.url.endsWith(bus.connection.getServer()) ? [one, two] : [two, one];
  const back = change(bus, true);
  ending.signal("SIGUSR2");
  await back;
  expect(other.url.endsWith(bus.connection.getServer())).toBe(true);
});

test("a drain handles what arrived, delivers what handlers publish, then refuses", async () => {
  await using server = await startServer();
  await using other = await connectTo([server], { name: "other" });
  const bus = await connectTo([server]);
  const order: string[] = [];
  let answers = 0;
  other.subscribe("answers", () => answers++);
  bus.subscribe("work", (payload) => {
    order.push("work");
    expect(bus.publish("answers", payload)).toBe(true);
  });
  await Promise.all([bus.connection.flush(), other.connection.flush()]);
  for (let at = 0; at < 50; at++) other.publish("work", numbered(at));
  await other.connection.flush();
  const drained = bus.drain().then(() => order.push("closed"));
  expect(bus.connected).toBe(true);
  await drained;
  await other.connection.flush();
  expect(order).toEqual([...Array<string>(50).fill("work"), "closed"]);
  expect(answers).toBe(50);
  expect(bus.connected).toBe(false);
  expect(bus.publish("answers", numbered(0))).toBe(false);
  expect(bus.connection.isClosed()).toBe(true);
  await bus.drain();
});

test("a drain ends although the server is frozen or gone", async () => {
  const server = await startServer();
  const frozen = await connectTo([server]);
  const gone = await connectTo([server]);
  server.signal("SIGSTOP");
  const startedAtMs = performance.now();
  await frozen.drain();
  expect(performance.now() - startedAtMs).toBeLessThan(2500);
  const lost = gone.connected ? change(gone, false) : undefined;
  await server[Symbol.asyncDispose]();
  await lost;
  await gone.drain();
  expect(gone.connection.isClosed()).toBe(true);
});

test.each([
  ["a handler that throws", `throw new Error("a defect in a handler")`, "a defect in a handler"],
  ["a client that closes by itself", `void bus.connection.close()`, "the NATS client closed"],
])("%s ends the process", async (_name, statement, message) => {
  await using server = await startServer();
  const index = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const script = `
    import { connectBus } from ${JSON.stringify(index)};
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const bus = await connectBus({ servers: ["${server.url}"], name: "x", inboxPrefix: "_I", log });
    bus.subscribe("x", () => { ${statement}; });
    bus.publish("x", new Uint8Array(1));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk) => (errors += chunk));
  const [code] = await once(child, "close");
  expect(code).toBe(1);
  expect(errors).toContain(message);
});
