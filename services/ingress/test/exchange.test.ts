/** What an open request keeps of the body that it came with. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ByteWriter, decodeTensors, TRACE_BYTES } from "@millrace/protocol";
import { expect, test } from "vitest";
import { Exchange, type ExchangeParts } from "../src/exchange.ts";

function open(bytes: Uint8Array): Exchange {
  const request = {
    id: undefined,
    tensors: [{ datatype: "UINT8", dims: [1, bytes.length], bytes }],
    rows: 1,
    length: 0,
    shapeKey: 0,
    tier: 1,
    timeoutUs: 0,
    outputs: [],
  };
  return new Exchange({
    seq: 1,
    request,
    traceparent: undefined,
    arrivedUs: 0,
  } as unknown as ExchangeParts);
}

function written({ tail }: Exchange): Uint8Array {
  const writer = new ByteWriter(tail.length);
  tail.write(writer);
  expect(writer.at).toBe(tail.length);
  return writer.bytes;
}

test("the tensors travel behind a trace id, the same with each attempt", () => {
  const exchange = open(Uint8Array.of(1, 2, 3));
  const first = written(exchange);
  expect(written(exchange)).toEqual(first);
  expect(Buffer.from(first.subarray(0, TRACE_BYTES)).toString("hex")).toBe(exchange.trace);
  expect(decodeTensors(first.subarray(TRACE_BYTES))).toMatchObject({
    ok: true,
    value: [{ dims: [1, 3], bytes: Uint8Array.of(1, 2, 3) }],
  });
});

test("a small tensor in a large body does not keep the body (I6)", async () => {
  const MIB = 1024 ** 2;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const bytesOf = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const before = bytesOf();
  const exchanges = Array.from({ length: 20 }, () => open(new Uint8Array(8 * MIB).subarray(9, 12)));
  // What the collector found is freed beside the program.
  await expect.poll(() => bytesOf() - before, { timeout: 10_000 }).toBeLessThan(10 * MIB);
  expect(exchanges.map(({ bodyBytes }) => bodyBytes)).toEqual(exchanges.map(() => 18));
});
