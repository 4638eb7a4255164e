/** Open Inference requests: for `fetch`, and as the bytes that the load generator sends. */

import { type BenchModel, widthOf } from "./models.ts";

/** Where an ingress, or the floor, listens. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly key?: string;
}

export interface InferRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer<ArrayBuffer>;
}

/** One row of float32 in the binary tensor extension, its output asked for in binary too. */
export function inferRequest(target: Target, model: BenchModel): InferRequest {
  const row = rowOf(widthOf(model));
  const json = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: model.input,
          shape: [1, ...model.dims],
          datatype: "FP32",
          parameters: { binary_data_size: row.byteLength },
        },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  return {
    path: `/v2/models/${model.name}/infer`,
    headers: {
      "Content-Type": "application/octet-stream",
      "Inference-Header-Content-Length": String(json.length),
      ...(target.key === undefined ? {} : { Authorization: `Bearer ${target.key}` }),
    },
    body: Buffer.concat([json, new Uint8Array(row.buffer)]),
  };
}

export function requestBytes(target: Target, { path, headers, body }: InferRequest): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head =
    `POST ${path} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\n${lines.join("")}` +
    `Content-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** The bytes of the output tensors. @throws Error with the answer when it is not 200. */
export async function inferOnce(target: Target, model: BenchModel): Promise<Buffer> {
  const { path, headers, body } = inferRequest(target, model);
  const url = `http://${target.host}:${target.port}${path}`;
  const response = await fetch(url, { method: "POST", headers, body });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${bytes.toString()}`);
  return bytes.subarray(Number(response.headers.get("Inference-Header-Content-Length")));
}

/** Values between -1 and 1 that differ. */
const rowOf = (width: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: width }, (_, at) => ((at * 31) % 201) / 100 - 1);
