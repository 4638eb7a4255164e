/** Whose end the broker's disconnect events tell of: by the connection, where it is known. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inboxPrefix, startBroker, type User } from "@millrace/broker";
import { decodeJson, type Disconnect, DISCONNECTS, disconnectSchema } from "@millrace/protocol";
import { present } from "@millrace/std";
import { expect, test, vi } from "vitest";
import { type Bus, Connections, connectBus } from "../src/index.ts";
import { quiet } from "./server.ts";

const id = "gpu-worker-1";
const here = { server: "NA", client: 7 };
const endOf = (client: number | undefined, server: string | undefined = "NA"): Disconnect => ({
  server: { id: server },
  client: { name: id, ...(client === undefined ? {} : { id: client }) },
  reason: "",
});

test("the end of another connection under a member's name is not its own", () => {
  const connections = new Connections();
  connections.heard({ id, connection: here });
  expect(connections.ended(endOf(6))).toBeUndefined();
  expect(connections.ended(endOf(7, "NB"))).toBeUndefined();
  expect(connections.ended(endOf(7))).toBe(id);
});

test("the last heartbeat decides", () => {
  const connections = new Connections();
  connections.heard({ id, connection: here });
  connections.heard({ id, connection: { server: "NA", client: 9 } });
  expect(connections.ended(endOf(7))).toBeUndefined();
  expect(connections.ended(endOf(9))).toBe(id);
});

test("where either side does not say which, the name is believed", () => {
  const connections = new Connections();
  expect(connections.ended(endOf(6))).toBe(id);
  connections.heard({ id, connection: here });
  expect(connections.ended(endOf(undefined))).toBe(id);
  connections.heard({ id, connection: here });
  expect(connections.ended({ client: { name: id, id: 6 }, reason: "" })).toBe(id);
  connections.heard({ id, connection: here });
  connections.heard({ id });
  expect(connections.ended(endOf(6))).toBe(id);
});

test("the broker names a connection as the bus does, and another one after a break", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "millrace-bus-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const broker = stack.use(await startBroker({ directory }));
  const enter = async (user: User, name: string): Promise<Bus> =>
    stack.use(
      await connectBus({
        servers: [broker.url],
        name,
        seed: broker.seed(user),
        inboxPrefix: inboxPrefix(user),
        log: quiet,
      }),
    );
  const inspector = await enter("inspector", "inspector-1");
  const seen: Disconnect[] = [];
  inspector.subscribe(DISCONNECTS, (bytes) => {
    const event = decodeJson(disconnectSchema, bytes);
    if (event.ok && event.value.client.name === id) seen.push(event.value);
  });
  await inspector.connection.flush();
  const worker = await enter("gpu-worker", id);
  const before = worker.connectionId;
  const back = new Promise<void>((resolve) => {
    worker.onConnection((connected) => connected && resolve());
  });
  await worker.connection.reconnect();
  await back;
  const after = present(worker.connectionId, "the new connection");
  expect(after).not.toEqual(before);
  const connections = new Connections();
  connections.heard({ id, connection: after });
  await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 5_000 });
  const late = present(seen[0], "the old connection's end");
  expect({ server: late.server?.id, client: late.client.id }).toEqual(before);
  expect(connections.ended(late)).toBeUndefined();
  await worker.drain();
  await vi.waitFor(() => expect(seen).toHaveLength(2), { timeout: 5_000 });
  expect(connections.ended(present(seen[1], "the end"))).toBe(id);
});
