/** Choosing a port. */

import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { nextFreePort } from "../../src/up/ports.ts";

test("the next free port is past the busy one and past those that are spoken for", async () => {
  const busy = createServer().listen(0, "127.0.0.1");
  await once(busy, "listening");
  const { port } = busy.address() as AddressInfo;
  const next = await nextFreePort(port, "127.0.0.1");
  expect(next).toBeGreaterThan(port);
  expect(await nextFreePort(port, "127.0.0.1", new Set([next]))).toBeGreaterThan(next);
  busy.close();
});
