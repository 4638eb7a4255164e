/** Open Inference requests as bytes, as the load generator sends them. */

import type { BenchModel } from "./models.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly key?: string;
}

/** One row of float32 in the binary tensor extension, its output asked for in binary too. */
export function inferRequest(target: Target, model: BenchModel, row: Float32Array): Buffer {
  const json = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: model.input,
          shape: [1, row.length],
          datatype: "FP32",
          parameters: { binary_data_size: row.byteLength },
        },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  const head =
    `POST /v2/models/${model.name}/infer HTTP/1.1\r\n` +
    `Host: ${target.host}:${target.port}\r\n` +
    (target.key === undefined ? "" : `Authorization: Bearer ${target.key}\r\n`) +
    "Content-Type: application/octet-stream\r\n" +
    `Inference-Header-Content-Length: ${json.length}\r\n` +
    `Content-Length: ${json.length + row.byteLength}\r\n\r\n`;
  const bytes = new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
  return Buffer.concat([Buffer.from(head, "latin1"), json, bytes]);
}

/** A row of values between -1 and 1 that differ. */
export const rowOf = (width: number): Float32Array =>
  Float32Array.from({ length: width }, (_, at) => ((at * 31) % 201) / 100 - 1);
