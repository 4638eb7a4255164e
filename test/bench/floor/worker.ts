/**
 * The floor's worker: what has gathered while the thread was busy is the next batch. Arguments: the
 * broker's URL, the model's file, floats in a row of input, most rows in a batch, threads of a run,
 * device.
 */

import { Worker } from "node:worker_threads";
import { connectFloor, subscribe } from "./bus.ts";
import { decodeItems, encodeItems, type Item } from "./frames.ts";
import type { BatchDone, BatchWanted } from "./thread.ts";

const [url = "", file = "", width = "", rowsMax = "", threads = "", device = "cpu"] =
  process.argv.slice(2);
/** One batch runs while the next one is already at the thread. */
const BATCHES_MAX = 2;

const connection = await connectFloor(url);
const thread = new Worker(new URL("thread.ts", import.meta.url), {
  workerData: { file, width: Number(width), threads: Number(threads), device },
});
const waiting: Item[] = [];
const running: (readonly number[])[] = [];

function start(): void {
  while (running.length < BATCHES_MAX && waiting.length > 0) {
    const items = waiting.splice(0, Number(rowsMax));
    const rowBytes = 4 * Number(width);
    const input = new Uint8Array(items.length * rowBytes);
    items.forEach((item, row) => input.set(item.body, row * rowBytes));
    running.push(items.map((item) => item.id));
    const wanted: BatchWanted = { input: input.buffer, rows: items.length };
    thread.postMessage(wanted, [wanted.input]);
  }
}

thread.on("message", ({ output }: BatchDone) => {
  const ids = running.shift() ?? [];
  start();
  const rowBytes = output.byteLength / ids.length;
  const bytes = new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
  const answers = ids.map((id, row) => ({
    id,
    body: bytes.subarray(row * rowBytes, (row + 1) * rowBytes),
  }));
  connection.publish("floor.answer", encodeItems(answers));
});

let starting = false;
subscribe(connection, "floor.assign", (bytes) => {
  waiting.push(...decodeItems(bytes));
  if (starting) return;
  starting = true;
  // Everything of this turn goes into the batch.
  setImmediate(() => {
    starting = false;
    start();
  });
});
await connection.flush();
process.send?.({});
