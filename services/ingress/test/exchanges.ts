/** Open requests that nobody waits for. */

import type { Tensor } from "@millrace/protocol";
import { prepareSignature } from "@millrace/openinference";
import { Exchange } from "../src/exchange.ts";
import type { Reply } from "../src/reply.ts";
import { ModelStatistics } from "../src/statistics.ts";
import { echo } from "./stand.ts";

export function exchange(seq: number, tensors: readonly Tensor[]): Exchange {
  return new Exchange({
    seq,
    access: { client: "c", limits: undefined, models: undefined },
    model: {
      spec: echo,
      ref: "echo@1",
      signature: prepareSignature(echo),
      statistics: new ModelStatistics(),
    },
    request: {
      id: undefined,
      tensors,
      rows: 1,
      length: 0,
      shapeKey: 0,
      tier: 1,
      timeoutUs: 0,
      outputs: [],
    },
    reply: {} as Reply,
    traceparent: undefined,
    arrivedUs: 0,
  });
}
