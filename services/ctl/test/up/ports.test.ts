/** Choosing a port. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { nextFreePort } from "../../src/up/ports.ts";

/** What another process chooses from `from` on; it stays until its input ends. */
async function chosenElsewhere(from: number, stack: DisposableStack): Promise<number> {
  const url = new URL("../../src/up/ports.ts", import.meta.url).href;
  const script = `import { nextFreePort } from ${JSON.stringify(url)};
    console.log(await nextFreePort(${from}, "127.0.0.1")); process.stdin.resume();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  stack.defer(() => void child.kill("SIGKILL"));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

test("two processes choose different ports before either listens", async () => {
  using stack = new DisposableStack();
  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, "close");
  const theirs = await chosenElsewhere(port, stack);
  expect(await nextFreePort(port, "127.0.0.1")).toBeGreaterThan(theirs);
});

test("the next free port is past the busy one and past those that are spoken for", async () => {
  const busy = createServer().listen(0, "127.0.0.1");
  await once(busy, "listening");
  const { port } = busy.address() as AddressInfo;
  const next = await nextFreePort(port, "127.0.0.1");
  expect(next).toBeGreaterThan(port);
  expect(await nextFreePort(port, "127.0.0.1", new Set([next]))).toBeGreaterThan(next);
  busy.close();
});
