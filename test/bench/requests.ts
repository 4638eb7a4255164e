/** Open Inference requests: for `fetch`, and as the bytes that the load generator sends. */

import { type BenchModel, rowOf } from "./models.ts";

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

/** One row in the binary tensor extension, its output asked for in binary too. */
export function inferRequest(target: Target, model: BenchModel): InferRequest {
  const row = rowOf(model);
  const json = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: model.input,
          shape: [1, ...model.dims],
          datatype: model.datatype,
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
    body: Buffer.concat([json, row]),
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
