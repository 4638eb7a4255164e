/**
 * The floor: the same hops over the same HTTP server, NATS client and onnxruntime, with no
 * features. A small tensor goes http -> relay -> worker -> http, coalesced on every hop; a large
 * one crosses NATS once, straight to the worker. No validation, deadlines, queues or retries.
 */

import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findServer, SERVER_ENV } from "@millrace/broker";
import { supervise } from "@millrace/fleet";
import { INLINE_BODY_BYTES_MAX } from "@millrace/protocol";
import { connect } from "@nats-io/transport-node";
import type { Bench } from "./bench.ts";
import { type Child, startChild } from "./child.ts";
import type { BenchModel } from "./models.ts";

export interface Floor extends AsyncDisposable {
  readonly port: number;
}

const here = (name: string): URL => new URL(`floor/${name}.ts`, import.meta.url);

/** Its files lie in the bench's folder; it has the bench's threads and device. */
export async function startFloor(
  { directory, threads, device }: Pick<Bench, "directory" | "threads" | "device">,
  model: BenchModel,
): Promise<Floor> {
  const stack = new AsyncDisposableStack();
  try {
    const url = await startPlainBroker(stack, directory);
    const file = join(directory, `${model.name}.onnx`);
    await writeFile(file, model.file);
    const shape = [file, String(model.dims[0]), String(model.maxBatch), String(threads), device];
    const children = [
      startChild("floor worker", here("worker"), [url, ...shape]),
      startChild("floor relay", here("relay"), [url]),
      startChild("floor http", here("http"), [url, String(INLINE_BODY_BYTES_MAX)]),
    ];
    for (const child of children) stack.defer(() => child.stop());
    const [, , front] = await Promise.all(children.map((child: Child) => child.message()));
    const { port } = front as { readonly port: number };
    const owned = stack.move();
    return { port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** The same server as the cluster's, without accounts and JetStream. */
async function startPlainBroker(stack: AsyncDisposableStack, directory: string): Promise<string> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const config = join(directory, "floor.conf");
  await writeFile(config, `listen: "127.0.0.1:${port}"\nmax_payload: 8388608\n`);
  stack.use(
    supervise({
      name: "floor broker",
      command: await findServer(),
      args: ["--config", config],
      env: { ...SERVER_ENV, ...process.env },
    }),
  );
  const servers = `nats://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    try {
      await (await connect({ servers, reconnect: false, timeout: 1000 })).close();
      return servers;
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(100);
    }
  }
}
