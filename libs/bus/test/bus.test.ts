/** The bus on a healthy server: messages, the first connection, permissions. */

import { setTimeout as sleep } from "node:timers/promises";
import { nkeys } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { connectBus } from "../src/index.ts";
import { connectTo, quiet, startServer } from "./server.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

describe("messages", () => {
  test("a handler gets the bytes and the subject, on plain subjects and on wildcards", async () => {
    await using server = await startServer();
    await using bus = await connectTo([server]);
    const heard: string[] = [];
    bus.subscribe("a.b", (payload, subject) => heard.push(`plain ${subject} ${text(payload)}`));
    bus.subscribe("a.*", (payload, subject) => heard.push(`wild ${subject} ${text(payload)}`));
    expect(bus.publish("a.b", bytes("1"))).toBe(true);
    expect(bus.publish("a.c", bytes("2"))).toBe(true);
    await bus.connection.flush();
    expect(heard.sort()).toEqual(["plain a.b 1", "wild a.b 1", "wild a.c 2"]);
  });

  test("bytes that a handler keeps stay what they were", async () => {
    await using server = await startServer();
    await using bus = await connectTo([server]);
    const kept: Uint8Array[] = [];
    bus.subscribe("keep", (payload) => kept.push(payload));
    const sizes = [1, 100, 5_000, 70_000, 200_000];
    for (let round = 0; round < 40; round++) {
      for (const size of sizes) bus.publish("keep", new Uint8Array(size).fill(round));
      await bus.connection.flush();
    }
    expect(kept.length).toBe(40 * sizes.length);
    const changed = kept.filter(
      (payload, at) => !payload.every((byte) => byte === Math.floor(at / sizes.length)),
    );
    expect(changed).toEqual([]);
  });

  test("a drained subscription has handled what was on its way, and gets no more", async () => {
    await using server = await startServer();
    await using bus = await connectTo([server]);
    await using other = await connectTo([server]);
    let heard = 0;
    const subscribed = bus.subscribe("work", () => heard++);
    await bus.connection.flush();
    for (let at = 0; at < 100; at++) other.publish("work", bytes("x"));
    await other.connection.flush();
    await subscribed.drain();
    expect(heard).toBe(100);
    other.publish("work", bytes("late"));
    await other.connection.flush();
    await bus.connection.flush();
    expect(heard).toBe(100);
    await subscribed.drain();
  });
});

describe("connecting", () => {
  test("a bus waits for its first server and logs the reason once", async () => {
    await using server = await startServer();
    server.signal("SIGKILL");
    await sleep(20);
    const warnings: object[] = [];
    const connecting = connectTo([server], {
      log: { ...quiet, warn: (fields) => warnings.push(fields) },
    });
    await sleep(400);
    await server.restart();
    await (await connecting).drain();
    expect(warnings).toEqual([{ servers: [server.url], reason: "connection refused" }]);
  });

  test("the wait for a first server ends with the signal", async () => {
    const connecting = connectBus({
      servers: ["nats://127.0.0.1:1"],
      name: "test",
      inboxPrefix: "_INBOX_test",
      log: quiet,
      signal: AbortSignal.timeout(200),
    });
    await expect(connecting).rejects.toMatchObject({ name: /Abort|Timeout/ });
  });

  test("a server that takes too small messages is refused by name of the option", async () => {
    await using server = await startServer("max_payload: 65536");
    await expect(connectTo([server])).rejects.toThrow(/65536 bytes: set its max_payload/);
  });
});

describe("permissions", () => {
  test("an NKey user connects, and each violation is counted and logged", async () => {
    const user = nkeys.createUser();
    await using server = await startServer(`
      authorization { users: [ { nkey: ${user.getPublicKey()}, permissions: {
        publish: "mine.>", subscribe: ["mine.>", "_INBOX_test.>"] } } ] }`);
    const errors: string[] = [];
    await using bus = await connectTo([server], {
      seed: text(user.getSeed()),
      log: { ...quiet, error: (_fields, message) => errors.push(message) },
    });
    bus.subscribe("theirs.a", () => {
      throw new Error("never called");
    });
    bus.publish("theirs.b", bytes("x"));
    bus.publish("mine.b", bytes("x"));
    await expect.poll(() => bus.counters.permissionErrors).toBe(2);
    expect(errors.length).toBe(2);
    expect(bus.connected).toBe(true);
  });
});
