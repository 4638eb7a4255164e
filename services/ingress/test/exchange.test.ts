/** What an open request keeps of the body that it came with. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ByteWriter, decodeTensors, TRACE_BYTES } from "@millrace/protocol";
import { expect, test } from "vitest";
import type { Exchange } from "../src/exchange.ts";
import { exchange } from "./exchanges.ts";

const open = (bytes: Uint8Array): Exchange =>
  exchange(1, [{ datatype: "UINT8", dims: [1, bytes.length], bytes }]);

function written({ tail }: Exchange): Uint8Array {
  const writer = new ByteWriter(tail.length);
  tail.write(writer);
  expect(writer.at).toBe(tail.length);
  return writer.bytes;
}

test("the tensors travel behind a trace id, the same with each attempt", () => {
  const one = open(Uint8Array.of(1, 2, 3));
  const first = written(one);
  expect(written(one)).toEqual(first);
  expect(Buffer.from(first.subarray(0, TRACE_BYTES)).toString("hex")).toBe(one.trace);
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
