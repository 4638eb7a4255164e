/**
 * The floor's front: node:http to NATS and back. It cuts the tensor out of an Open Inference
 * request by its two lengths and believes everything else. Arguments: the broker's URL, and the
 * bytes from which on a tensor goes straight to the worker. Says `{port}` to its parent.
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connectFloor, gather, subscribe } from "./bus.ts";
import { decodeItems, encodeInPlace } from "./frames.ts";

const [url = "", inlineBytesMax = ""] = process.argv.slice(2);
const connection = await connectFloor(url);
const toRelay = gather(connection, "floor.ticket");
const waiting = new Map<number, ServerResponse>();
let lastId = 0;

function answer(response: ServerResponse, tensor: Uint8Array): void {
  const json = Buffer.from(
    `{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"FP32",` +
      `"shape":[1,${tensor.length / 4}],"parameters":{"binary_data_size":${tensor.length}}}]}`,
  );
  response.writeHead(200, {
    "Content-Type": "application/octet-stream",
    "Inference-Header-Content-Length": json.length,
    "Content-Length": json.length + tensor.length,
  });
  response.end(Buffer.concat([json, tensor]));
}

subscribe(connection, "floor.answer", (bytes) => {
  for (const { id, body } of decodeItems(bytes)) {
    const response = waiting.get(id);
    waiting.delete(id);
    if (response !== undefined) answer(response, body);
  }
});

function take(request: IncomingMessage, response: ServerResponse): void {
  const body = Buffer.allocUnsafe(Number(request.headers["content-length"]));
  let at = 0;
  request.on("data", (chunk: Buffer) => {
    at += chunk.copy(body, at);
  });
  request.on("end", () => {
    const id = ++lastId;
    waiting.set(id, response);
    const tensor = body.subarray(Number(request.headers["inference-header-content-length"]));
    if (tensor.length <= Number(inlineBytesMax)) toRelay({ id, body: tensor });
    // The head goes where the JSON was: a large tensor is not copied here.
    else connection.publish("floor.assign", encodeInPlace(id, body, tensor.length));
  });
}

const server = createServer(take).listen(0, "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
